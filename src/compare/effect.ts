/** How much slower side b is than side a: a ratio that no single run decides, and the interval that it may lie in. */
import { at, range } from '../core/math.ts';
import type { Random } from '../core/random.ts';
import { median, quantile } from '../measure/statistics.ts';

export interface Effect {
  /** Hodges and Lehmann (1963): the median of all ratios b / a of a run of each side. 1.1: b takes 10 % longer. */
  readonly ratio: number;
  /** 95 % by bootstrap over the runs of both sides. */
  readonly low: number;
  readonly high: number;
}

/** Draws of the bootstrap, and what they may cost in pairs of runs: fewer draws blur the interval's ends by a few percent of it. A guess. */
const MOST_DRAWS = 1000;
const LEAST_DRAWS = 200;
const MOST_PAIRS = 200_000;

/** @param a, b one time per run, of any unit, above 0. */
export function effectOf(a: readonly number[], b: readonly number[], random: Random): Effect {
  const [logA, logB] = [a.map(Math.log), b.map(Math.log)];
  const shifts = range(drawsOf(a.length * b.length)).map(() =>
    shift(drawn(logA, random), drawn(logB, random)),
  );
  shifts.sort((x, y) => x - y);
  const interval = [0.025, 0.975].map((share) => Math.exp(quantile(shifts, share)));
  return { ratio: Math.exp(shift(logA, logB)), low: at(interval, 0), high: at(interval, 1) };
}

function drawsOf(pairs: number): number {
  return Math.min(MOST_DRAWS, Math.max(LEAST_DRAWS, Math.floor(MOST_PAIRS / pairs)));
}

/** The median of all differences b - a. */
export function shift(a: readonly number[], b: readonly number[]): number {
  const all = new Float64Array(a.length * b.length);
  b.forEach((y, j) => a.forEach((x, i) => (all[j * a.length + i] = y - x)));
  return median(all);
}

/** As many values, each drawn from all of them. */
function drawn(values: readonly number[], random: Random): number[] {
  return values.map(() => at(values, random.integer(values.length)));
}
