/**
 * Memory that the host fills and the device copies from. What lies in a file is read straight into it: some of its buffers
 * are filled while the device copies the others.
 */
import type { BufferView } from '../gpu/buffer.ts';
import { BUFFER_USAGE, MAP_MODE } from '../gpu/flags.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** Bytes of a buffer, few enough for a cache to hold them until they are copied, and how many there are. The best of some on two cores. */
export const STAGED_BYTES = 2 ** 21;
const MOST_BUFFERS = 4;

/** Fills memory, all of it. */
export type Fill = (into: Uint8Array) => Promise<void>;

export class Staging {
  readonly #gpu: Gpu;
  /** Mapped. */
  readonly #free: GPUBuffer[] = [];
  readonly #owned = new Map<GPUBuffer, () => void>();
  readonly #busy = new Set<Promise<void>>();
  #failure: { readonly reason: unknown } | undefined;
  #ended = false;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Fills a view of at most `STAGED_BYTES`, whose offset and length are multiples of 4. It comes back as soon as the next can
   * be asked for; `arrived` tells when all is there.
   * @throws what went wrong with one that was asked for before.
   */
  async fill(target: BufferView, fill: Fill): Promise<void> {
    const buffer = await this.#taken();
    const work = this.#through(buffer, target, fill).catch((reason: unknown) => {
      this.#failure ??= { reason };
    });
    this.#busy.add(work);
    this.#gpu.holdUntil(work);
    void work.then(() => this.#busy.delete(work));
  }

  /** Waits until the device has copied everything. @throws what went wrong with any of it. */
  async arrived(): Promise<void> {
    await this.#idle();
    this.#throwFailure();
  }

  /** Nothing is copied any more when it comes back. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#idle();
    for (const [buffer, release] of this.#owned) {
      buffer.destroy();
      release();
    }
    this.#owned.clear();
  }

  async #idle(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  async #taken(): Promise<GPUBuffer> {
    for (;;) {
      this.#throwFailure();
      const free = this.#free.pop();
      if (free !== undefined) return free;
      if (this.#owned.size < MOST_BUFFERS) return this.#made();
      await Promise.race(this.#busy);
    }
  }

  #made(): GPUBuffer {
    this.#gpu.requireUsable();
    const buffer = this.#gpu.device.createBuffer({
      ...{ label: 'weights/staging', size: STAGED_BYTES, mappedAtCreation: true },
      usage: BUFFER_USAGE.MAP_WRITE | BUFFER_USAGE.COPY_SRC,
    });
    this.#owned.set(buffer, this.#gpu.ledger.hold('staging', STAGED_BYTES));
    return buffer;
  }

  async #through(buffer: GPUBuffer, target: BufferView, fill: Fill): Promise<void> {
    const { device, state } = this.#gpu;
    const { byteOffset, byteLength } = target;
    await fill(new Uint8Array(buffer.getMappedRange(0, byteLength)));
    state.check();
    buffer.unmap();
    if (this.#ended) return;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, target.buffer.handle, byteOffset, byteLength);
    device.queue.submit([encoder.finish()]);
    await state.wait('Copying weights', buffer.mapAsync(MAP_MODE.WRITE));
    this.#free.push(buffer);
  }
}
