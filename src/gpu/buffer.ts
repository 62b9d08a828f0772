/** Device memory: a `GpuBuffer` owns, a `BufferView` points into one. */
import { ConfigError } from '../core/errors.ts';

/** An owned allocation. Create it with `Gpu.buffer`, end it with `destroy()`. */
export class GpuBuffer {
  readonly id: number;
  readonly label: string;
  readonly byteLength: number;
  readonly handle: GPUBuffer;
  readonly #onDestroy: (buffer: GpuBuffer) => void;
  #destroyed = false;

  constructor(id: number, label: string, handle: GPUBuffer, onDestroy: (buffer: GpuBuffer) => void) {
    this.id = id;
    this.label = label;
    this.handle = handle;
    this.byteLength = handle.size;
    this.#onDestroy = onDestroy;
  }

  /** The whole buffer, or a part of it. The offset must be a multiple of the adapter's binding alignment. */
  view(byteOffset = 0, byteLength = this.byteLength - byteOffset): BufferView {
    if (!(byteOffset >= 0 && byteLength > 0 && byteOffset + byteLength <= this.byteLength)) {
      throw new ConfigError(
        `View [${byteOffset}, ${byteOffset + byteLength}) is outside of buffer ${this.label} of ${this.byteLength} bytes.`,
      );
    }
    return { buffer: this, byteOffset, byteLength };
  }

  get isDestroyed(): boolean {
    return this.#destroyed;
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#onDestroy(this);
    this.handle.destroy();
  }
}

/** A part of a buffer, in bytes. `GpuBuffer.view` makes one; it owns nothing. */
export interface BufferView {
  readonly buffer: GpuBuffer;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** What a kernel can be given: a whole buffer, or a part of one. */
export type Bindable = GpuBuffer | BufferView;

export function viewOf(source: Bindable): BufferView {
  return source instanceof GpuBuffer ? source.view() : source;
}

/** @throws ConfigError for a view of a buffer that is no more, or one that is too short for `bytes`. */
export function checkView(view: BufferView, bytes: number, what: string): void {
  const { buffer, byteLength } = view;
  if (buffer.isDestroyed) {
    throw new ConfigError(`${what}: buffer ${buffer.label} was destroyed. Use it before, or make another.`);
  }
  if (!(bytes <= byteLength)) {
    throw new ConfigError(
      `${what}: ${bytes} bytes do not fit the ${byteLength} of buffer ${buffer.label}. Give it as many as it has, or fewer.`,
    );
  }
}
