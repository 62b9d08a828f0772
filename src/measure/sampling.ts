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

/** Guesses; 100 steps of the clock make one of them 1 % of a window. */
const DEFAULTS: Required<SamplingOptions> = {
  minSteps: 100,
  minWindowNs: 200_000,
  maxRepeats: 4096,
  minSamples: 5,
  maxSamples: 25,
  precision: 0.03,
  budgetNs: 250e6,
};

/** Growth of a window between two tries: a first, tiny window says little about how long more runs take. A guess. */
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
  for (const stopwatch of stopwatches) {
    series.push({ stopwatch, samplesNs: [], ...(await calibrate(stopwatch, wanted)) });
  }
  const running = series.filter((s) => s.refused === undefined);
  // Alone, the window that showed its length is as good as any that follow.
  if (running.length === 1) running.forEach((s) => s.samplesNs.push(s.windowNs / s.repeats));
  let voids = 0;
  for (let round = 0; voids <= wanted.maxSamples && !isEnough(running, now() - start, wanted); round++) {
    const order = round % 2 === 0 ? running : [...running].reverse();
    const taken = new Map<Series, number>();
    for (const one of order) {
      const ns = await one.stopwatch.window(one.repeats);
      if (ns !== undefined) taken.set(one, ns / one.repeats);
    }
    // A round counts for all or for none: the n-th samples of all were taken together.
    if (taken.size < running.length) voids += 1;
    else for (const [one, ns] of taken) one.samplesNs.push(ns);
  }
  return series.map((s) => timingOf(s, voids));
}

export interface Calibration {
  /** Runs of a window. */
  readonly repeats: number;
  /** The last window of the warm-up, which has as many runs as the samples have. */
  readonly windowNs: number;
  readonly warmUp: WarmUp;
  /** Present when the clock cannot carry the work. */
  readonly refused?: TooFine;
}

interface Series extends Calibration {
  readonly stopwatch: Stopwatch;
  readonly samplesNs: number[];
}

/** Warms up and finds how many runs make a window long enough. */
export async function calibrate(
  stopwatch: Stopwatch,
  options: Pick<SamplingOptions, 'minSteps' | 'minWindowNs' | 'maxRepeats'> = {},
): Promise<Calibration> {
  const wanted = { ...DEFAULTS, ...options };
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
  const calibration = { repeats, windowNs, warmUp: found };
  if (windowNs < neededNs)
    return { ...calibration, refused: { state: 'too-fine', clock, grainNs, windowNs } };
  return calibration;
}

function timingOf({ stopwatch, repeats, warmUp: before, samplesNs, refused }: Series, voids: number): Timing {
  if (refused !== undefined) return refused;
  if (voids > samplesNs.length) return { state: 'failed', reason: 'the clock keeps going backwards' };
  const measured: Measured = {
    state: 'measured',
    clock: stopwatch.clock,
    samplesNs,
    repeats,
    warmUp: before,
  };
  return measured;
}

function isEnough(running: readonly Series[], spentNs: number, wanted: Required<SamplingOptions>): boolean {
  const count = running[0]?.samplesNs.length ?? Infinity;
  if (count < wanted.minSamples) return false;
  if (count >= wanted.maxSamples || spentNs >= wanted.budgetNs) return true;
  return running.every(({ samplesNs }) => relativeHalfWidth(summarise(samplesNs)) <= wanted.precision);
}
