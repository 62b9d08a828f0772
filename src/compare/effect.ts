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

/** Of the bootstrap. A guess, and customary. */
const RESAMPLES = 1000;

/** @param a, b one time per run, of any unit, above 0. */
export function effectOf(a: readonly number[], b: readonly number[], random: Random): Effect {
  const [logA, logB] = [a.map(Math.log), b.map(Math.log)];
  const shifts = range(RESAMPLES).map(() => shift(drawn(logA, random), drawn(logB, random)));
  shifts.sort((x, y) => x - y);
  const interval = [0.025, 0.975].map((share) => Math.exp(quantile(shifts, share)));
  return { ratio: Math.exp(shift(logA, logB)), low: at(interval, 0), high: at(interval, 1) };
}

function shift(a: readonly number[], b: readonly number[]): number {
  return median(b.flatMap((y) => a.map((x) => y - x)));
}

/** As many values, each drawn from all of them. */
function drawn(values: readonly number[], random: Random): number[] {
  return values.map(() => at(values, random.integer(values.length)));
}
