/** Weights on the device. Replicas and TP groups that hold equal shards share one read-only buffer. */
import { invariant } from '../core/errors.ts';
import { product } from '../core/math.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { BYTES_OF } from '../tensor/tensor.ts';
import { bufferBytes } from './workspace.ts';
import type { Shard } from './shards.ts';

export class WeightStore {
  readonly #gpu: Gpu;
  readonly #buffers = new Map<string, GpuBuffer>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** @throws ConfigError when the shard is larger than the adapter can bind. */
  get(shard: Shard): GpuBuffer {
    let buffer = this.#buffers.get(shard.key);
    if (buffer === undefined) {
      const made = shard.make();
      invariant(
        made.dtype === shard.dtype && made.shape.join() === shard.shape.join(),
        () =>
          `${shard.key} was cut as ${made.dtype} [${made.shape.join()}], not ${shard.dtype} [${shard.shape.join()}]`,
      );
      buffer = this.#gpu.upload(shard.key, made.data);
      this.#buffers.set(shard.key, buffer);
    }
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
  }
}

/** Bytes of a shard on the device. */
export function shardBytes(shard: Shard): number {
  return bufferBytes(product(shard.shape) * BYTES_OF[shard.dtype]);
}
