/**
 * A small piece of work that never changes, timed between the rows of a bench: when it takes longer than in the
 * beginning, so did the row beside it, and the row says so.
 */
import { at } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { stopwatchFor, type BenchClock } from './measure.ts';
import { fmaProbes } from './probes/arithmetic.ts';
import { probeScale, type PreparedProbe } from './probes/probe.ts';
import { sampleTiming, type Stopwatch } from './sampling.ts';
import { summarise } from './statistics.ts';

/** A row between readings that differ more than this from the first ones drifted. */
export const DRIFT_LIMIT = 0.15;

/** Readings are short: what they cost is paid at every row. */
const WINDOWS = 3;
const FIRST_READINGS = 5;

export interface CanaryReport {
  readonly what: string;
  /** Of the first readings. */
  readonly baselineNs: number;
  readonly limit: number;
  /** All readings in order, ns per run. */
  readonly samplesNs: readonly number[];
}

export interface Drift {
  /** Of the readings around the row that counts, as shares of the first ones: 0.2 is 20 % slower. */
  readonly before: number;
  readonly after: number;
  /** Whether the row was measured again because of it. */
  readonly again: boolean;
}

export interface Canary {
  /** How much slower than in the beginning, as a share. */
  read(): Promise<number>;
  report(): CanaryReport;
  destroy(): void;
}

/** Undefined when the clock cannot carry it. */
export async function openCanary(gpu: Gpu, clock: BenchClock): Promise<Canary | undefined> {
  const probe = at(fmaProbes('f32', probeScale(gpu)), 0);
  const prepared = await probe.prepare(gpu);
  try {
    const stopwatch = stopwatchFor(gpu, (commands) => prepared.record(commands), clock);
    const timing = await sampleTiming(stopwatch, { minSamples: FIRST_READINGS, budgetNs: 0 });
    if (timing.state === 'measured') return canaryOf(stopwatch, prepared, timing.repeats, timing.samplesNs);
  } catch {
    // Its probe reports why.
  }
  prepared.destroy();
  return undefined;
}

function canaryOf(
  { window }: Stopwatch,
  prepared: PreparedProbe,
  repeats: number,
  first: readonly number[],
): Canary {
  const baselineNs = summarise(first).median;
  const samplesNs: number[] = [];
  return {
    read: async () => {
      const readings: number[] = [];
      for (let i = 0; i < WINDOWS; i++) {
        const ns = await window(repeats);
        if (ns !== undefined) readings.push(ns / repeats);
      }
      if (readings.length === 0) return 0;
      const { median } = summarise(readings);
      samplesNs.push(median);
      return median / baselineNs - 1;
    },
    report: () => ({
      what: 'f32 multiply-add probe',
      baselineNs,
      limit: DRIFT_LIMIT,
      samplesNs: [...samplesNs],
    }),
    destroy: () => prepared.destroy(),
  };
}

/** Whether a row between these two readings can be trusted. */
export function isDrift(before: number, after: number): boolean {
  return !(Math.abs(before) <= DRIFT_LIMIT && Math.abs(after) <= DRIFT_LIMIT);
}
