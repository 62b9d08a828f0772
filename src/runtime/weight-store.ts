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
import { type Shard, type ShardPart, stack } from './shards.ts';

/** Bytes that the device may still have to copy. A guess. */
const MOST_QUEUED = 2 ** 26;

export class WeightStore {
  readonly #gpu: Gpu;
  readonly #source: WeightSource;
  readonly #weights = new Map<string, GpuBuffer>();
  #queued = 0;
  #copying: Promise<void> | undefined;

  constructor(gpu: Gpu, source: WeightSource) {
    this.#gpu = gpu;
    this.#source = source;
  }

  /**
   * @param upcoming asked for next: the first that is not there is read while this one is written.
   * @throws ConfigError when the shard is larger than the adapter can bind, or than kernels can number its values.
   */
  async get(shard: Shard, upcoming: readonly Shard[] = []): Promise<GpuBuffer> {
    const found = this.#weights.get(shard.key);
    if (found !== undefined) return found;
    requireIndexable(shard.key, shard.shape);
    const next = upcoming.find(({ key }) => key !== shard.key && !this.#weights.has(key));
    const weight = await this.#made(shard, next?.parts[0]);
    this.#weights.set(shard.key, weight);
    return weight;
  }

  async #made(shard: Shard, after: ShardPart | undefined): Promise<GpuBuffer> {
    const { key, dtype, shape, parts } = shard;
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) {
      await this.#source.load?.(only.names);
      this.#readAhead(only, after);
      const whole = this.#make(shard, only);
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
        this.#readAhead(part, parts[i + 1] ?? after);
        const made = this.#make(shard, part);
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

  /** What comes after is read while this part is made and written; whoever asks for it learns what went wrong. */
  #readAhead(part: ShardPart, after: ShardPart | undefined): void {
    if (after === undefined || this.#source.load === undefined) return;
    this.#source.load([...part.names, ...after.names]).catch(() => undefined);
  }

  /** Parts that are no whole words each, which is what a device is given. */
  async #joined(shard: Shard, buffer: GpuBuffer): Promise<GpuBuffer> {
    const { dtype, shape, parts } = shard;
    const made: HostWeight[] = [];
    for (const part of parts) {
      await this.#source.load?.(part.names);
      made.push(this.#make(shard, part));
    }
    writeWeight(this.#gpu, buffer, { dtype, shape }, stack(made, shape));
    return buffer;
  }

  #make({ key, dtype }: Shard, part: ShardPart): HostWeight {
    const made = part.make();
    invariant(weightDtypeOf(made) === dtype, () => `${key} was made as ${weightDtypeOf(made)}, not ${dtype}`);
    return made;
  }

  /** A queue holds what is written until the device has copied it. */
  async #counted(buffer: GpuBuffer, bytes: number): Promise<GpuBuffer> {
    this.#queued += bytes;
    if (this.#queued > MOST_QUEUED) {
      this.#queued = 0;
      // The device copies one run while the next is read and written.
      await this.written();
      this.#copying = this.#gpu.flush();
      this.#copying.catch(() => undefined);
    }
    return buffer;
  }

  /** Waits until the device has copied what it was given. @throws DeviceError for what went wrong meanwhile. */
  async written(): Promise<void> {
    const copying = this.#copying;
    this.#copying = undefined;
    await copying;
  }

  destroy(): void {
    for (const buffer of this.#weights.values()) buffer.destroy();
    this.#weights.clear();
  }
}
