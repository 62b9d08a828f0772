/**
 * A small piece of work that never changes, timed before and after every burst of a row. A reading is compared with
 * those around it, not with the first: what passes slowly meets all rows alike, and only what comes and goes within a
 * burst tells one row from another.
 */
import { at } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { stopwatchFor, type BenchClock } from './stopwatch.ts';
import { fmaProbes } from './probes/arithmetic.ts';
import { probeScale } from './probes/probe.ts';
import type { Burst, Rounds } from './rounds.ts';
import { calibrate } from './sampling.ts';
import { quantile, summarise } from './statistics.ts';

/** A burst beside a reading that differs more than this from the readings around it drifted. A guess. */
export const DRIFT_LIMIT = 0.15;
/** When the middle half of all readings spreads further than this, the machine was busy all along. A guess. */
export const SPREAD_LIMIT = 0.15;

/** Readings on either side that a reading is compared with. A guess. */
const REACH = 4;
/** Readings are short: what they cost is paid at every burst. A guess. */
const WINDOWS = 3;

export interface CanaryReport {
  readonly what: string;
  readonly driftLimit: number;
  readonly spreadLimit: number;
  /** All readings in order, ns per run; null: void. */
  readonly samplesNs: readonly (number | null)[];
  /** Distance of the quartiles over the median; null without readings. */
  readonly spread: number | null;
}

/** Of a row: present when the canary differed beside one of its bursts. */
export interface Drift {
  /** Bursts beside a drift. */
  readonly bursts: number;
  /** Of these the furthest, as a share of the readings around: 0.2 is 20 % slower. */
  readonly worst: number;
  /** At least half of the bursts: then the median does not hide them, and the row is marked. */
  readonly marked: boolean;
}

export interface Canary {
  /** Ns of one run; undefined when all its readings were void. */
  read(): Promise<number | undefined>;
  destroy(): void;
}

/** Undefined when the clock cannot carry it. */
export async function openCanary(gpu: Gpu, clock: BenchClock): Promise<Canary | undefined> {
  const probe = at(fmaProbes('f32', probeScale(gpu)), 0);
  const prepared = await probe.prepare(gpu);
  try {
    const stopwatch = stopwatchFor(gpu, (commands) => prepared.record(commands), clock);
    const { refused, repeats } = await calibrate(stopwatch);
    if (refused === undefined) {
      return {
        read: async () => {
          const readings: number[] = [];
          for (let i = 0; i < WINDOWS; i++) {
            const ns = await stopwatch.window(repeats);
            if (ns !== undefined) readings.push(ns / repeats);
          }
          return readings.length === 0 ? undefined : summarise(readings).median;
        },
        destroy: () => prepared.destroy(),
      };
    }
  } catch {
    // Its probe reports why.
  }
  prepared.destroy();
  gpu.requireUsable();
  return undefined;
}

export function canaryReport(readings: Rounds['readings']): CanaryReport {
  const sorted = readings.filter((ns) => ns !== undefined).sort((a, b) => a - b);
  return {
    what: 'f32 multiply-add probe',
    driftLimit: DRIFT_LIMIT,
    spreadLimit: SPREAD_LIMIT,
    samplesNs: readings.map((ns) => ns ?? null),
    spread:
      sorted.length === 0 ? null : (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / quantile(sorted, 0.5),
  };
}

/**
 * How far the readings right before and after a burst are from the median of those around, the further of the two. NaN
 * when both are void. @param before index of the reading before.
 */
export function driftAt(readings: Rounds['readings'], before: number): number {
  const around = readings.slice(Math.max(0, before + 1 - REACH), before + 1 + REACH).filter(isKnown);
  const beside = readings.slice(before, before + 2).filter(isKnown);
  if (beside.length === 0) return NaN;
  const usual = summarise(around).median;
  return beside.map((ns) => ns / usual - 1).reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
}

const isKnown = (ns: number | undefined): ns is number => ns !== undefined;

/** NaN is a drift too. */
export function isDrift(drift: number): boolean {
  return !(Math.abs(drift) <= DRIFT_LIMIT);
}

/** Undefined when no burst of the row was beside a drift. */
export function driftOf(
  readings: Rounds['readings'],
  bursts: readonly Pick<Burst, 'reading'>[],
): Drift | undefined {
  const drifts = bursts.map(({ reading }) => driftAt(readings, reading)).filter(isDrift);
  if (drifts.length === 0) return undefined;
  const worst = drifts.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  return { bursts: drifts.length, worst, marked: 2 * drifts.length >= bursts.length };
}
