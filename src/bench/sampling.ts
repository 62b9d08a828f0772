/**
 * How long to measure. A clock of step q gives a relative error of at most q / window, so a window holds as many
 * runs as make it 100 steps long; then windows are taken until the median is known well enough or time is up.
 */
import { summarise, relativeHalfWidth } from './statistics.ts';
import type { Clock, Measured, Timing, TooFine, WarmUp } from './timing.ts';

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
  const [timing] = await sampleInTurn([stopwatch], options);
  return timing ?? { state: 'failed', reason: 'nothing was measured' };
}

/**
 * The same for several pieces of work that are to be compared: one window of each in turn, forth and back, so that
 * what changes slowly on the machine changes for all. The budget is that of all together.
 */
export async function sampleInTurn(
  stopwatches: readonly Stopwatch[],
  options: SamplingOptions = {},
): Promise<Timing[]> {
  const wanted = { ...DEFAULTS, ...options };
  const now = stopwatches[0]?.now ?? (() => 0);
  const start = now();
  const series: Series[] = [];
  for (const stopwatch of stopwatches) series.push(await warmUp(stopwatch, wanted));
  const running = series.filter((s) => s.refused === undefined);
  // Alone, the window that showed its length is as good as any that follow.
  if (running.length === 1) running.forEach((s) => s.samplesNs.push(s.windowNs / s.repeats));
  for (let round = 0; !running.every((s) => isEnough(s, now() - start, wanted)); round++) {
    const order = round % 2 === 0 ? running : [...running].reverse();
    for (const one of order) await takeSample(one);
  }
  return series.map(timingOf);
}

interface Series {
  readonly stopwatch: Stopwatch;
  readonly repeats: number;
  /** The last window of the warm-up, which has as many runs as the samples have. */
  readonly windowNs: number;
  readonly warmUp: WarmUp;
  readonly samplesNs: number[];
  voids: number;
  readonly refused?: TooFine;
}

async function warmUp(stopwatch: Stopwatch, wanted: Required<SamplingOptions>): Promise<Series> {
  const { clock, grainNs, window, now } = stopwatch;
  const start = now();
  const neededNs = wanted.minSteps * grainNs;
  const goalNs = Math.max(neededNs, wanted.minWindowNs);
  const firstNs = await window(1);
  let runs = 2;
  let repeats = 1;
  let windowNs = (await window(1)) ?? 0;
  while (windowNs < goalNs && repeats < wanted.maxRepeats) {
    const growth = Math.min(MAX_GROWTH, Math.max(2, (1.2 * goalNs) / Math.max(windowNs, 1)));
    repeats = Math.min(wanted.maxRepeats, Math.ceil(repeats * growth));
    windowNs = (await window(repeats)) ?? 0;
    runs += repeats;
  }
  const found = { runs, hostNs: now() - start, ...(firstNs !== undefined && { firstNs }) };
  const series = { stopwatch, repeats, windowNs, warmUp: found, samplesNs: [], voids: 0 };
  if (windowNs < neededNs) return { ...series, refused: { state: 'too-fine', clock, grainNs, windowNs } };
  return series;
}

async function takeSample(series: Series): Promise<void> {
  const ns = await series.stopwatch.window(series.repeats);
  if (ns === undefined) series.voids += 1;
  else series.samplesNs.push(ns / series.repeats);
}

function timingOf({ stopwatch, repeats, warmUp: before, samplesNs, voids, refused }: Series): Timing {
  if (refused !== undefined) return refused;
  if (samplesNs.length === 0 || voids > samplesNs.length)
    return { state: 'failed', reason: 'the clock keeps going backwards' };
  const measured: Measured = {
    state: 'measured',
    clock: stopwatch.clock,
    samplesNs,
    repeats,
    warmUp: before,
  };
  return measured;
}

function isEnough({ samplesNs, voids }: Series, spentNs: number, wanted: Required<SamplingOptions>): boolean {
  if (voids > wanted.maxSamples) return true;
  if (samplesNs.length < wanted.minSamples) return false;
  if (samplesNs.length >= wanted.maxSamples || spentNs >= wanted.budgetNs) return true;
  return relativeHalfWidth(summarise(samplesNs)) <= wanted.precision;
}
