/**
 * Kernel parameters of one command list lie in chunks of uniform memory, one slot per dispatch, bound with a
 * dynamic offset. Queue writes are ordered with submissions, so a chunk is free again once its list is submitted.
 */
import { ConfigError, invariant } from '../core/errors.ts';
import { at } from '../core/math.ts';
import type { MemoryLedger } from './ledger.ts';
import type { CompiledKernel } from './shader/pipeline-cache.ts';
import type { ParamType } from './kernel.ts';
import { BUFFER_USAGE } from './flags.ts';

/** minUniformBufferOffsetAlignment of the specification: every adapter takes such offsets. */
const SLOT_BYTES = 256;
/** Of a chunk, 64 KiB. A guess. */
const SLOTS = 256;

export interface ParamChunk {
  readonly buffer: GPUBuffer;
  readonly group: GPUBindGroup;
  readonly bytes: ArrayBuffer;
  readonly view: DataView;
  used: number;
}

export interface ParamSlot {
  readonly group: GPUBindGroup;
  readonly byteOffset: number;
}

export class ParamArena {
  readonly #device: GPUDevice;
  readonly #layout: GPUBindGroupLayout;
  readonly #ledger: Pick<MemoryLedger, 'hold'>;
  readonly #free: ParamChunk[] = [];
  readonly #all: { readonly chunk: ParamChunk; readonly end: () => void }[] = [];

  constructor(device: GPUDevice, layout: GPUBindGroupLayout, ledger: Pick<MemoryLedger, 'hold'>) {
    this.#device = device;
    this.#layout = layout;
    this.#ledger = ledger;
  }

  /**
   * Writes one dispatch's parameters into the list's last chunk, taking another chunk when it is full.
   * @throws ConfigError for a value that its type cannot hold; nothing is taken then.
   */
  put(chunks: ParamChunk[], kernel: CompiledKernel, params: Readonly<Record<string, number>>): ParamSlot {
    const { name, shader } = kernel;
    for (const field of shader.params) checkParam(name, field.name, field.type, params[field.name]);
    invariant(
      shader.paramBytes <= SLOT_BYTES,
      () => `parameters take ${shader.paramBytes} bytes; a slot has ${SLOT_BYTES}`,
    );
    let chunk = chunks.at(-1);
    if (chunk === undefined || chunk.used === SLOTS) {
      chunk = this.#free.pop() ?? this.#create();
      chunk.used = 0;
      chunks.push(chunk);
    }
    const base = chunk.used * SLOT_BYTES;
    chunk.used += 1;
    for (let i = 0; i < shader.params.length; i++) {
      const field = at(shader.params, i);
      const value = params[field.name] ?? NaN;
      const offset = base + field.byteOffset;
      if (field.type === 'f32') chunk.view.setFloat32(offset, value, true);
      else if (field.type === 'u32') chunk.view.setUint32(offset, value, true);
      else chunk.view.setInt32(offset, value, true);
    }
    return { group: chunk.group, byteOffset: base };
  }

  /** Sends the chunks' contents to the device and takes them back. Call right before the list's submission. */
  flush(chunks: ParamChunk[]): void {
    for (const chunk of chunks) {
      this.#device.queue.writeBuffer(chunk.buffer, 0, chunk.bytes, 0, chunk.used * SLOT_BYTES);
    }
    this.release(chunks);
  }

  /** Takes back the chunks of a list that will not be submitted. */
  release(chunks: ParamChunk[]): void {
    for (const chunk of chunks.splice(0)) this.#free.push(chunk);
  }

  destroy(): void {
    for (const { chunk, end } of this.#all.splice(0)) {
      chunk.buffer.destroy();
      end();
    }
    this.#free.length = 0;
  }

  #create(): ParamChunk {
    const size = SLOT_BYTES * SLOTS;
    const buffer = this.#device.createBuffer({
      label: 'params',
      size,
      usage: BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
    });
    const group = this.#device.createBindGroup({
      label: 'params',
      layout: this.#layout,
      entries: [{ binding: 0, resource: { buffer, offset: 0, size: SLOT_BYTES } }],
    });
    const bytes = new ArrayBuffer(size);
    const chunk = { buffer, group, bytes, view: new DataView(bytes), used: 0 };
    this.#all.push({ chunk, end: this.#ledger.hold('params', size) });
    return chunk;
  }
}

const RANGES = { u32: [0, 2 ** 32 - 1], i32: [-(2 ** 31), 2 ** 31 - 1] } as const;

/** Nothing wraps or turns infinite on the way to the device. */
function checkParam(kernel: string, name: string, type: ParamType, value: number | undefined): void {
  invariant(value !== undefined, () => `${kernel}: parameter ${name} was not given`);
  if (type === 'f32') {
    if (Number.isFinite(Math.fround(value))) return;
    throw new ConfigError(
      `${kernel}: parameter ${name} is ${value}, which is no finite f32. Give a number of magnitude below 3.4e38.`,
    );
  }
  const [least, most] = RANGES[type];
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ConfigError(
    `${kernel}: parameter ${name} is ${value}, not an integer from ${least} to ${most} (${type}). ` +
      'Use smaller sizes, or do the work in pieces.',
  );
}
