/**
 * Kernel parameters of one command list lie in chunks of uniform memory, one slot per dispatch, bound with a
 * dynamic offset. Queue writes are ordered with submissions, so a chunk is free again once its list is submitted.
 */
import { invariant } from '../core/errors.ts';
import { at } from '../core/math.ts';
import type { ShaderInterface } from './reflect.ts';

const SLOT_BYTES = 256;
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
  readonly #free: ParamChunk[] = [];
  readonly #all: ParamChunk[] = [];

  constructor(device: GPUDevice, layout: GPUBindGroupLayout) {
    this.#device = device;
    this.#layout = layout;
  }

  /** Writes one dispatch's parameters into the list's last chunk, taking another chunk when it is full. */
  put(chunks: ParamChunk[], shader: ShaderInterface, params: Readonly<Record<string, number>>): ParamSlot {
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
      const value = params[field.name];
      invariant(value !== undefined, () => `parameter ${field.name} was not given`);
      const offset = base + field.byteOffset;
      if (field.type === 'f32') {
        chunk.view.setFloat32(offset, value, true);
      } else {
        invariant(Number.isInteger(value), () => `parameter ${field.name} is ${value}, not an integer`);
        if (field.type === 'u32') chunk.view.setUint32(offset, value, true);
        else chunk.view.setInt32(offset, value, true);
      }
    }
    return { group: chunk.group, byteOffset: base };
  }

  /** Sends the chunks' contents to the device and takes them back. Call right before the list's submission. */
  flush(chunks: ParamChunk[]): void {
    for (const chunk of chunks) {
      this.#device.queue.writeBuffer(chunk.buffer, 0, chunk.bytes, 0, chunk.used * SLOT_BYTES);
      this.#free.push(chunk);
    }
    chunks.length = 0;
  }

  destroy(): void {
    for (const chunk of this.#all) chunk.buffer.destroy();
  }

  #create(): ParamChunk {
    const size = SLOT_BYTES * SLOTS;
    const buffer = this.#device.createBuffer({
      label: 'params',
      size,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    const group = this.#device.createBindGroup({
      label: 'params',
      layout: this.#layout,
      entries: [{ binding: 0, resource: { buffer, offset: 0, size: SLOT_BYTES } }],
    });
    const bytes = new ArrayBuffer(size);
    const chunk = { buffer, group, bytes, view: new DataView(bytes), used: 0 };
    this.#all.push(chunk);
    return chunk;
  }
}
