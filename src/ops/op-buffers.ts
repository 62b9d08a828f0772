/** The device side of a prepared op: its buffers and its outputs. */
import { ConfigError, invariant } from '../core/errors.ts';
import { product } from '../core/math.ts';
import { formatBytes } from '../core/units.ts';
import { groupTable, type GroupTable } from '../collectives/groups.ts';
import { SymmetricArray } from '../collectives/symmetric.ts';
import { type Bindable, type BufferView, type GpuBuffer, viewOf } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Bound, Gpu } from '../gpu/gpu.ts';
import { type HostWeight, uploadWeight, weightDtypeOf } from '../kernels/weights.ts';
import { requireIndexable, weightBytes } from '../tensor/weight-bytes.ts';
import type { FloatWeight } from '../tensor/quantised.ts';
import { BYTES_OF, type Dtype, type Tensor, castFloat, toF32 } from '../tensor/tensor.ts';
import type { OpInputs, PreparedOp } from './op.ts';
import { guardBytes, guarded, LIKELY, NO_NUMBER, setGuard, withGuard } from './guards.ts';
import type { Rows } from './row-runs.ts';
import { scalesName } from './quantised-inputs.ts';

interface Output {
  readonly name: string;
  readonly buffer: GpuBuffer;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

export class OpBuffers {
  readonly gpu: Gpu;
  readonly #owned: GpuBuffer[] = [];
  readonly #written: GpuBuffer[] = [];
  readonly #outputs: Output[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** A tensor of activations in f32: f16 is widened, exactly. One that is bound in parts may be larger than a binding. */
  activation(name: string, t: Tensor, bound: Bound = 'whole'): GpuBuffer {
    this.#requireRoom(name, 4 * t.data.length, bound);
    return this.#input(this.gpu.upload(`op/${name}`, toF32(t), bound), 4 * t.data.length, NO_NUMBER, bound);
  }

  /** Weights as they are stored, values of 16 bits packed two to a word, or widened when `dtype` asks for it. */
  weight(name: string, t: Tensor, dtype: FloatWeight = weightDtype(t), bound: Bound = 'whole'): GpuBuffer {
    const bytes = t.data.length * BYTES_OF[dtype];
    this.#requireRoom(name, bytes, bound);
    return this.#input(
      this.gpu.upload(`op/${name}`, castFloat(t, dtype).data, bound),
      bytes,
      NO_NUMBER,
      bound,
    );
  }

  /** A matrix or stack as it is stored, with its scales. */
  matrix(name: string, weight: HostWeight): GpuBuffer {
    requireIndexable(name, weight.shape);
    const bytes = weightBytes(weightDtypeOf(weight), weight.shape);
    this.#requireRoom(name, bytes, 'whole');
    return this.#input(uploadWeight(this.gpu, `op/${name}`, weight), bytes, NO_NUMBER);
  }

  /** One part per rank, which kernels write. */
  symmetric(name: string, numParts: number, wordsPerPart: number): SymmetricArray {
    const array = new SymmetricArray(this.gpu, `op/${name}`, numParts, wordsPerPart);
    this.#written.push(this.#own(array.buffer));
    return array;
  }

  groups(name: string, groups: readonly (readonly number[])[]): GroupTable {
    const table = groupTable(this.gpu, `op/${name}`, groups);
    this.#own(table.members);
    this.#own(table.ofRank);
    return table;
  }

  integers(name: string, values: Uint32Array): GpuBuffer {
    return this.#input(this.gpu.upload(`op/${name}`, values), values.byteLength, LIKELY);
  }

  /** Memory that kernels write. */
  scratch(name: string, count: number, bound: Bound = 'whole'): GpuBuffer {
    this.#requireRoom(name, 4 * count, bound);
    const bytes = 4 * count + guardBytes(this.gpu);
    const buffer = this.#own(this.gpu.buffer(`op/${name}`, bytes, bound));
    setGuard(this.gpu, buffer, 4 * count);
    this.#written.push(buffer);
    return buffer;
  }

  /** Memory that kernels write and that is read at the end: f32 on the device, `dtype` on the host. */
  output(name: string, shape: readonly number[], dtype: Dtype, bound: Bound = 'whole'): GpuBuffer {
    const buffer = this.scratch(name, product(shape), bound);
    this.#outputs.push({ name, buffer, shape, dtype });
    return buffer;
  }

  prepared(variant: string, record: (commands: CommandList) => void): PreparedOp {
    return {
      variant,
      written: this.#written,
      record,
      read: () => this.#read(),
      destroy: () => this.destroy(),
    };
  }

  destroy(): void {
    for (const buffer of this.#owned) buffer.destroy();
  }

  async #read(): Promise<Map<string, Tensor>> {
    const results = new Map<string, Tensor>();
    for (const { name, buffer, shape, dtype } of this.#outputs) {
      const t = await this.gpu.read(buffer, shape, dtype === 'f16' ? 'f32' : dtype);
      results.set(name, dtype === 'f16' ? castFloat(t, 'f16') : t);
    }
    return results;
  }

  /** @throws ConfigError, with a remedy that the one has who gives tensors. */
  #requireRoom(name: string, bytes: number, bound: Bound): void {
    const most = this.gpu.mostBytes(bound);
    if (bytes <= most) return;
    const { facts } = this.gpu;
    throw new ConfigError(
      `${name} takes ${formatBytes(bytes)} on the device, but ${facts.name} ${bound === 'whole' ? 'binds' : 'makes buffers of'} ` +
        `at most ${formatBytes(most)}. Give it in parts, or use another adapter.`,
    );
  }

  /** What kernels read, `bytes` of it. */
  #input(buffer: GpuBuffer, bytes: number, behind: number, bound: Bound = 'whole'): GpuBuffer {
    return this.#own(guarded(this.gpu, buffer, bytes, behind, bound));
  }

  #own(buffer: GpuBuffer): GpuBuffer {
    this.#owned.push(buffer);
    return buffer;
  }
}

/** Builds a prepared op; its buffers are freed when building fails. */
export async function withBuffers(
  gpu: Gpu,
  build: (space: OpBuffers) => Promise<PreparedOp>,
): Promise<PreparedOp> {
  const space = new OpBuffers(gpu);
  try {
    return await build(space);
  } catch (error) {
    space.destroy();
    throw error;
  }
}

export function weightDtype(t: Tensor): 'f32' | 'f16' {
  return t.dtype === 'f16' ? 'f16' : 'f32';
}

/** A tensor that the rules require. */
export function tensorOf(inputs: OpInputs, name: string): Tensor {
  const t = inputs.tensors.get(name);
  invariant(t !== undefined, () => `tensor ${name} was not checked`);
  return t;
}

const FLOATS: ReadonlySet<Dtype> = new Set<Dtype>(['f32', 'f16', 'bf16']);

/** F16 when every float input is, else F32. Scales are a part of their weights. */
export function outputDtype(inputs: OpInputs): 'f32' | 'f16' {
  const floats = [...inputs.tensors]
    .filter(([name, t]) => !name.endsWith(scalesName('')) && FLOATS.has(t.dtype))
    .map(([, t]) => t);
  return floats.length > 0 && floats.every((t) => t.dtype === 'f16') ? 'f16' : 'f32';
}

/** Rows `rows` of a buffer, or a part of one, whose rows have `width` words. */
export function rowView(source: Bindable, rows: Rows, width: number): BufferView {
  const { buffer, byteOffset } = viewOf(source);
  return withGuard(buffer.view(byteOffset + 4 * rows.first * width, 4 * rows.count * width));
}

export function bytesOfInputs(inputs: OpInputs): number {
  let bytes = 0;
  for (const t of inputs.tensors.values()) bytes += t.data.byteLength;
  return bytes;
}
