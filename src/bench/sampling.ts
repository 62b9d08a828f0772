/**
 * How long to measure. A clock of step q gives a relative error of at most q / window, so a window holds as many
 * runs as make it 100 steps long; then windows are taken until the median is known well enough or time is up.
 */
import { summarise, relativeHalfWidth } from './statistics.ts';
import type { Clock, Timing } from './timing.ts';

export interface SamplingOptions {
  /** A window lasts at least this many steps of the clock. */
  readonly minSteps?: number;
  /** And at least so long, so that what begins and ends a window weighs little. */
  readonly minWindowNs?: number;
  /** Most runs of one window. */
  readonly maxRepeats?: number;
  readonly minSamples?: number;
  readonly maxSamples?: number;
  /** Enough when half the interval of the median is within this share of it. */
  readonly precision?: number;
  /** Host time to spend, warm-up and calibration included; `minSamples` are taken all the same. */
  readonly budgetNs?: number;
}

const DEFAULTS: Required<SamplingOptions> = {
  minSteps: 100,
  minWindowNs: 200_000,
  maxRepeats: 4096,
  minSamples: 5,
  maxSamples: 25,
  precision: 0.03,
  budgetNs: 250e6,
};

/** Growth of a window between two tries: a first, tiny window says little about how long more runs take. */
const MAX_GROWTH = 16;

export interface Stopwatch {
  readonly clock: Clock;
  /** The clock's step. */
  readonly grainNs: number;
  /** Runs the work `repeats` times and returns its time; undefined when the reading is void. */
  readonly window: (repeats: number) => Promise<number | undefined>;
  /** Host clock, ns. */
  readonly now: () => number;
}

/** Warms up, finds the number of runs per window, then samples. Never returns a time that the clock cannot carry. */
export async function sampleTiming(stopwatch: Stopwatch, options: SamplingOptions = {}): Promise<Timing> {
  const wanted = { ...DEFAULTS, ...options };
  const { clock, grainNs, window, now } = stopwatch;
  const start = now();
  const neededNs = wanted.minSteps * grainNs;
  const goalNs = Math.max(neededNs, wanted.minWindowNs);
  await window(1);
  let repeats = 1;
  let windowNs = (await window(1)) ?? 0;
  while (windowNs < goalNs && repeats < wanted.maxRepeats) {
    const growth = Math.min(MAX_GROWTH, Math.max(2, (1.2 * goalNs) / Math.max(windowNs, 1)));
    repeats = Math.min(wanted.maxRepeats, Math.ceil(repeats * growth));
    windowNs = (await window(repeats)) ?? 0;
  }
  if (windowNs < neededNs) return { state: 'too-fine', clock, grainNs, windowNs };

  const samplesNs = [windowNs / repeats];
  let voids = 0;
  while (!isEnough(samplesNs, now() - start, wanted)) {
    const ns = await window(repeats);
    if (ns !== undefined) samplesNs.push(ns / repeats);
    else if (++voids > wanted.maxSamples)
      return { state: 'failed', reason: 'the clock keeps going backwards' };
  }
  return { state: 'measured', clock, samplesNs, repeats };
}

function isEnough(samples: readonly number[], spentNs: number, wanted: Required<SamplingOptions>): boolean {
  if (samples.length < wanted.minSamples) return false;
  if (samples.length >= wanted.maxSamples || spentNs >= wanted.budgetNs) return true;
  return relativeHalfWidth(summarise(samples)) <= wanted.precision;
}
