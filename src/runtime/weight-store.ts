/** Weights on the device. Replicas and TP groups that hold equal shards share one read-only buffer. */
import { invariant } from '../core/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import { uploadWeight, weightDtypeOf } from '../kernels/weights.ts';
import { requireIndexable } from '../tensor/weight-bytes.ts';
import type { Shard } from './shards.ts';

export class WeightStore {
  readonly #gpu: Gpu;
  readonly #weights = new Map<string, GpuBuffer>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** @throws ConfigError when the shard is larger than the adapter can bind, or than kernels can number its values. */
  get(shard: Shard): GpuBuffer {
    let weight = this.#weights.get(shard.key);
    if (weight === undefined) {
      requireIndexable(shard.key, shard.shape);
      const made = shard.make();
      invariant(
        weightDtypeOf(made) === shard.dtype && made.shape.join() === shard.shape.join(),
        () =>
          `${shard.key} was cut as ${weightDtypeOf(made)} [${made.shape.join()}], not ${shard.dtype} [${shard.shape.join()}]`,
      );
      weight = uploadWeight(this.#gpu, shard.key, made);
      this.#weights.set(shard.key, weight);
    }
    return weight;
  }

  destroy(): void {
    for (const buffer of this.#weights.values()) buffer.destroy();
    this.#weights.clear();
  }
}
