/**
 * A symmetric array: one part of equal size for every rank of a stage, in one allocation, as in a symmetric heap
 * (NVSHMEM). A rank's own kernels are given its part only; collectives are given the whole.
 */
import { partStride } from '../core/buffer-bytes.ts';
import { invariant } from '../core/errors.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

const WORD = 4;

export class SymmetricArray {
  readonly buffer: GpuBuffer;
  readonly numParts: number;
  /** Words from one part to the next: at least the asked-for size, rounded up so that parts can be bound. */
  readonly stride: number;

  /** @throws ConfigError when all parts together are larger than the adapter can bind. */
  constructor(gpu: Gpu, label: string, numParts: number, wordsPerPart: number) {
    this.stride = partStride(wordsPerPart, gpu.limits.minStorageBufferOffsetAlignment);
    this.numParts = numParts;
    this.buffer = gpu.buffer(label, this.stride * numParts * WORD);
  }

  part(index: number): BufferView {
    invariant(index >= 0 && index < this.numParts, () => `part ${index} of ${this.numParts}`);
    return this.buffer.view(index * this.stride * WORD, this.stride * WORD);
  }

  /** The parts of `count` ranks that are neighbours, one after the other. */
  parts(first: number, count: number): BufferView {
    invariant(
      first >= 0 && first + count <= this.numParts,
      () => `parts ${first}..+${count} of ${this.numParts}`,
    );
    return this.buffer.view(first * this.stride * WORD, count * this.stride * WORD);
  }

  destroy(): void {
    this.buffer.destroy();
  }
}
