/**
 * Weights on the device. Replicas and TP groups that hold equal shards share one read-only buffer. A shard comes part by
 * part, so that no more than one tensor of a model is in memory at a time.
 */
import { invariant } from '../core/errors.ts';
import { product } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import { uploadWeight, weightDtypeOf, writeWeight, writeWeightPart } from '../kernels/weights.ts';
import type { WeightSource } from '../model/config.ts';
import type { HostWeight } from '../tensor/quantised.ts';
import { requireIndexable, weightBytes } from '../tensor/weight-bytes.ts';
import { type Shard, stack } from './shards.ts';

/** Bytes that the device may still have to copy. A guess. */
const MOST_QUEUED = 2 ** 26;

export class WeightStore {
  readonly #gpu: Gpu;
  readonly #source: WeightSource;
  readonly #weights = new Map<string, GpuBuffer>();
  #queued = 0;

  constructor(gpu: Gpu, source: WeightSource) {
    this.#gpu = gpu;
    this.#source = source;
  }

  /** @throws ConfigError when the shard is larger than the adapter can bind, or than kernels can number its values. */
  async get(shard: Shard): Promise<GpuBuffer> {
    const found = this.#weights.get(shard.key);
    if (found !== undefined) return found;
    requireIndexable(shard.key, shard.shape);
    const weight = await this.#made(shard);
    this.#weights.set(shard.key, weight);
    return weight;
  }

  async #made(shard: Shard): Promise<GpuBuffer> {
    const { key, dtype, shape, parts } = shard;
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) {
      const whole = await this.#part(shard, only);
      invariant(
        product(whole.shape) === product(shape),
        () => `${key} was cut as [${whole.shape.join()}], not [${shape.join()}]`,
      );
      return this.#counted(uploadWeight(this.#gpu, key, whole), weightBytes(dtype, shape));
    }
    const buffer = this.#gpu.buffer(key, weightBytes(dtype, shape));
    try {
      let values = 0;
      for (const [i, part] of parts.entries()) {
        await this.#source.load?.(part.names);
        // The next is read while this one is made and written.
        const next = parts[i + 1];
        const ahead = next && this.#source.load?.([...part.names, ...next.names]);
        ahead?.catch(() => undefined);
        const made = this.#make(shard, part);
        await ahead;
        if (!writeWeightPart(this.#gpu, buffer, { dtype, shape }, made, values)) {
          return await this.#joined(shard, buffer);
        }
        values += product(made.shape);
        await this.#counted(buffer, weightBytes(dtype, made.shape));
      }
      return buffer;
    } catch (error) {
      buffer.destroy();
      throw error;
    }
  }

  /** Parts that are no whole words each, which is what a device is given. */
  async #joined(shard: Shard, buffer: GpuBuffer): Promise<GpuBuffer> {
    const { dtype, shape, parts } = shard;
    const made: HostWeight[] = [];
    for (const part of parts) made.push(await this.#part(shard, part));
    writeWeight(this.#gpu, buffer, { dtype, shape }, stack(made, shape));
    return buffer;
  }

  async #part(shard: Shard, part: Shard['parts'][number]): Promise<HostWeight> {
    await this.#source.load?.(part.names);
    return this.#make(shard, part);
  }

  #make({ key, dtype }: Shard, part: Shard['parts'][number]): HostWeight {
    const made = part.make();
    invariant(weightDtypeOf(made) === dtype, () => `${key} was made as ${weightDtypeOf(made)}, not ${dtype}`);
    return made;
  }

  /** A queue holds what is written until the device has copied it. */
  async #counted(buffer: GpuBuffer, bytes: number): Promise<GpuBuffer> {
    this.#queued += bytes;
    if (this.#queued > MOST_QUEUED) {
      this.#queued = 0;
      await this.#gpu.flush();
    }
    return buffer;
  }

  destroy(): void {
    for (const buffer of this.#weights.values()) buffer.destroy();
    this.#weights.clear();
  }
}
