/**
 * Weights on the device. Replicas and TP groups that hold equal shards share one read-only buffer. A shard comes part by
 * part: what a file has as kernels read it goes straight from there to the device, of what is made no more than one tensor
 * of a model is in memory at a time.
 */
import { invariant } from '../core/errors.ts';
import { at, product } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import {
  hiddenLeavesRange,
  type Magnitudes,
  scaleMagnitudes,
  scalesLeaveRange,
  widest,
} from '../kernels/scale-range.ts';
import { weightDtypeOf, writeWeight, writeWeightPart } from '../kernels/weights.ts';
import type { TensorBytes, WeightSource } from '../model/config.ts';
import { kindOf, type WeightKind } from '../model/stored-weights.ts';
import type { HostWeight, WeightDtype } from '../tensor/quantised.ts';
import { requireIndexable, weightBytes } from '../tensor/weight-bytes.ts';
import { type Shard, type ShardPart, stack } from './shards.ts';
import { STAGED_BYTES, Staging } from './staging.ts';

/** Bytes that the device may still have to copy. A guess. */
const MOST_QUEUED = 2 ** 26;
/** Fewer bytes of a file are as soon read, held and written. A guess. */
const LEAST_STREAMED = 2 ** 18;

/** A run of bytes of a file. */
interface Run {
  readonly file: TensorBytes;
  readonly begin: number;
  readonly length: number;
}

/** A part, and what it is stored in. */
interface Wanted {
  readonly part: ShardPart;
  readonly dtype: WeightDtype;
}

export class WeightStore {
  readonly #gpu: Gpu;
  readonly #source: WeightSource;
  readonly #weights = new Map<string, GpuBuffer>();
  /** Of the scales that have come so far. */
  readonly #scales = new Map<WeightKind, Magnitudes>();
  #staging: Staging | undefined;
  #queued = 0;
  #copying: Promise<void> | undefined;

  constructor(gpu: Gpu, source: WeightSource) {
    this.#gpu = gpu;
    this.#source = source;
  }

  /**
   * Its numbers are there once `written` has come back.
   * @param upcoming asked for next: the first that is not there is read while this one is written.
   * @throws ConfigError when the shard is larger than the adapter can bind, or than kernels can number its values.
   */
  async get(shard: Shard, upcoming: readonly Shard[] = []): Promise<GpuBuffer> {
    const found = this.#weights.get(shard.key);
    if (found !== undefined) return found;
    const { key, dtype, shape } = shard;
    requireIndexable(key, shape);
    const next = upcoming.find((other) => other.key !== key && !this.#weights.has(other.key));
    const [after] = next?.parts ?? [];
    const buffer = this.#gpu.buffer(key, weightBytes(dtype, shape));
    // Kept at once: it goes with the store, and not while it is still written.
    this.#weights.set(key, buffer);
    await this.#write(buffer, shard, next && after && { part: after, dtype: next.dtype });
    return buffer;
  }

  async #write(buffer: GpuBuffer, shard: Shard, after: Wanted | undefined): Promise<void> {
    const { key, dtype, shape, parts } = shard;
    let values = 0;
    for (const [i, part] of parts.entries()) {
      const run = this.#runOf({ part, dtype });
      const byteOffset = run === undefined ? 0 : (values * run.file.byteLength) / product(run.file.shape);
      if (run !== undefined && byteOffset % 4 === 0 && run.length % 4 === 0) {
        await this.#stream(buffer, byteOffset, run);
        values += (run.length * product(run.file.shape)) / run.file.byteLength;
        continue;
      }
      await this.#source.load?.(part.names);
      const next = parts[i + 1];
      this.#readAhead(part, next === undefined ? after : { part: next, dtype });
      const made = this.#make(shard, part);
      if (!writeWeightPart(this.#gpu, buffer, { dtype, shape }, made, values)) {
        return this.#writeJoined(buffer, shard);
      }
      values += product(made.shape);
      await this.#counted(weightBytes(dtype, made.shape));
    }
    invariant(values === product(shape), () => `${key} was cut as ${values} values, not [${shape.join()}]`);
  }

  /** Undefined for a part that is made. */
  #runOf({ part, dtype }: Wanted): Run | undefined {
    const { straight } = part;
    const file = straight && this.#source.inFile?.(straight.name);
    if (file?.dtype !== dtype) return undefined;
    const { byteLength, shape } = file;
    const row = byteLength / at(shape, 0);
    const { first, count } = straight?.rows ?? { first: 0, count: at(shape, 0) };
    return count * row < LEAST_STREAMED ? undefined : { file, begin: first * row, length: count * row };
  }

  async #stream(buffer: GpuBuffer, byteOffset: number, { file, begin, length }: Run): Promise<void> {
    this.#staging ??= new Staging(this.#gpu);
    for (let done = 0; done < length; done += STAGED_BYTES) {
      const target = buffer.view(byteOffset + done, Math.min(STAGED_BYTES, length - done));
      await this.#staging.fill(target, (into) => file.readInto(begin + done, into));
    }
  }

  /** What comes after is read while this part is made and written; whoever asks for it learns what went wrong. */
  #readAhead(part: ShardPart, after: Wanted | undefined): void {
    if (after === undefined || this.#source.load === undefined || this.#runOf(after)) return;
    this.#source.load([...part.names, ...after.part.names]).catch(() => undefined);
  }

  /** Parts that are no whole words each, which is what a device is given. */
  async #writeJoined(buffer: GpuBuffer, shard: Shard): Promise<void> {
    const { dtype, shape, parts } = shard;
    const made: HostWeight[] = [];
    for (const part of parts) {
      await this.#source.load?.(part.names);
      made.push(this.#make(shard, part));
    }
    writeWeight(this.#gpu, buffer, { dtype, shape }, stack(made, shape));
  }

  #make({ key, dtype }: Shard, part: ShardPart): HostWeight {
    const made = part.make();
    invariant(weightDtypeOf(made) === dtype, () => `${key} was made as ${weightDtypeOf(made)}, not ${dtype}`);
    const kind = kindOf(part.names[0] ?? '');
    if ('format' in made && kind !== undefined) {
      this.#scales.set(kind, widest(this.#scales.get(kind), scaleMagnitudes(made)));
    }
    return made;
  }

  /** Kinds of the matrices so far whose products may leave f32 on the way: their kernels take half of a scale at a time. */
  wideKinds(): ReadonlySet<WeightKind> {
    const wide = [...this.#scales].filter(([kind, scale]) =>
      kind === 'experts' || kind === 'units' ? hiddenLeavesRange(scale) : scalesLeaveRange(scale),
    );
    return new Set(wide.map(([kind]) => kind));
  }

  /** A queue holds what is written until the device has copied it. */
  async #counted(bytes: number): Promise<void> {
    this.#queued += bytes;
    if (this.#queued <= MOST_QUEUED) return;
    this.#queued = 0;
    // The device copies one run while the next is read and written.
    await this.#copied();
    this.#copying = this.#gpu.flush();
    this.#copying.catch(() => undefined);
  }

  async #copied(): Promise<void> {
    const copying = this.#copying;
    this.#copying = undefined;
    await copying;
  }

  /**
   * Waits until the device has copied what it was given, and gives back what that took.
   * @throws DeviceError, or a file's ConfigError, for what went wrong meanwhile.
   */
  async written(): Promise<void> {
    const staging = this.#staging;
    this.#staging = undefined;
    try {
      await staging?.arrived();
    } finally {
      await staging?.end();
    }
    await this.#copied();
  }

  /** To be awaited before a store is destroyed that was not written to the end. */
  async ended(): Promise<void> {
    await this.written().catch(() => undefined);
  }

  destroy(): void {
    for (const buffer of this.#weights.values()) buffer.destroy();
    this.#weights.clear();
  }
}
