/** Two timestamps per compute pass, read back once at the end. */
import { invariant } from '../core/errors.ts';
import { at } from '../core/math.ts';
import type { DeviceState } from './device-state.ts';
import type { Grid } from './kernel.ts';
import type { MemoryLedger } from './ledger.ts';
import { BUFFER_USAGE, MAP_MODE } from './flags.ts';
import type { Spec } from './shader/specialise.ts';
import { QUERIES_PER_BLOCK, type QueryBlock, type QueryPool } from './query-pool.ts';

const SPANS_PER_BLOCK = QUERIES_PER_BLOCK / 2;
/** Two timestamps of 8 bytes. */
const BYTES_PER_SPAN = 16;

/** What a pass was for, in words of whoever recorded it. */
export interface SpanPlace {
  /** As given to `CommandList.span` and `CommandList.part`. */
  readonly tag: unknown;
  /** Undefined unless every dispatch has a pass of its own. */
  readonly part: unknown;
  readonly kernel: string | undefined;
  /** What the dispatch was, as far as the host knows; undefined as `kernel` is. */
  readonly dispatch?: DispatchFacts | undefined;
}

/** One dispatch: what was compiled in, what was set, and how many workgroups. */
export interface DispatchFacts {
  readonly spec: Spec;
  readonly params: Readonly<Record<string, number>>;
  /** Undefined where the GPU has written it. */
  readonly grid: Grid | undefined;
}

export interface SpanTime extends SpanPlace {
  /** GPU time in ns; undefined when the clock went backwards within the pass (the reading is void). */
  readonly ns: number | undefined;
  readonly beginNs: bigint;
  readonly endNs: bigint;
}

/** What a timer needs of its device. */
export interface TimedDevice {
  readonly device: GPUDevice;
  readonly state: Pick<DeviceState, 'wait' | 'throwPending'>;
  readonly ledger: Pick<MemoryLedger, 'hold'>;
  readonly queries: Pick<QueryPool, 'take'>;
  readonly signal?: AbortSignal | undefined;
}

export class SpanTimer {
  readonly #on: TimedDevice;
  readonly #blocks: QueryBlock[] = [];
  readonly #places: SpanPlace[] = [];
  readonly #owned: { destroy(): void }[] = [];
  #staging: GPUBuffer | undefined;

  constructor(on: TimedDevice) {
    this.#on = on;
  }

  begin(place: SpanPlace): GPUComputePassTimestampWrites {
    const index = this.#places.length;
    this.#places.push(place);
    if (index % SPANS_PER_BLOCK === 0) this.#blocks.push(this.#on.queries.take());
    const { set, first } = at(this.#blocks, this.#blocks.length - 1);
    const slot = first + 2 * (index % SPANS_PER_BLOCK);
    return { querySet: set, beginningOfPassWriteIndex: slot, endOfPassWriteIndex: slot + 1 };
  }

  resolve(encoder: GPUCommandEncoder): void {
    if (this.#places.length === 0) return;
    const bytes = BYTES_PER_SPAN * SPANS_PER_BLOCK * this.#blocks.length;
    const buffer = (usage: number): GPUBuffer =>
      this.#own(this.#on.device.createBuffer({ label: 'spans', size: bytes, usage }), 'staging', bytes);
    const resolved = buffer(BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC);
    const staging = buffer(BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST);
    let place = 0;
    for (const { set, first, count } of this.#runs()) {
      encoder.resolveQuerySet(set, first, count, resolved, place);
      place += (BYTES_PER_SPAN / 2) * count;
    }
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    this.#staging = staging;
  }

  /** Neighbouring blocks at once; of the last one only what was written. */
  #runs(): { readonly set: GPUQuerySet; readonly first: number; readonly count: number }[] {
    const runs: { set: GPUQuerySet; first: number; count: number }[] = [];
    for (const [i, { set, first }] of this.#blocks.entries()) {
      const count = 2 * Math.min(SPANS_PER_BLOCK, this.#places.length - i * SPANS_PER_BLOCK);
      const last = runs.at(-1);
      if (last?.set === set && last.first + last.count === first) last.count += count;
      else runs.push({ set, first, count });
    }
    return runs;
  }

  /** Once: what was held for it is freed, whatever comes of it. @throws DeviceError when the device fails. */
  async read(): Promise<SpanTime[]> {
    if (this.#places.length === 0) return [];
    const staging = this.#staging;
    invariant(staging !== undefined, () => 'the times of a list were read twice, or before it was submitted');
    this.#staging = undefined;
    try {
      const { state, signal } = this.#on;
      await state.wait('Reading times', staging.mapAsync(MAP_MODE.READ), signal);
      state.throwPending();
      const times = new BigUint64Array(staging.getMappedRange());
      return this.#places.map((place, i) => {
        const beginNs = at(times, 2 * i);
        const endNs = at(times, 2 * i + 1);
        return { ...place, beginNs, endNs, ns: endNs >= beginNs ? Number(endNs - beginNs) : undefined };
      });
    } finally {
      this.destroy();
    }
  }

  /** For times that nobody will read. */
  destroy(): void {
    this.#staging = undefined;
    for (const thing of this.#owned.splice(0)) thing.destroy();
    for (const block of this.#blocks.splice(0)) block.release();
  }

  #own<T extends { destroy(): void }>(thing: T, label: string, bytes: number): T {
    const end = this.#on.ledger.hold(label, bytes);
    this.#owned.push({
      destroy: () => {
        end();
        thing.destroy();
      },
    });
    return thing;
  }
}
