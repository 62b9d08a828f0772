/** The few numbers that stand for many samples. Times are skewed to the right, so: the median and its interval. */
import { max, medianAbsoluteDeviation, medianSorted, min, quantileSorted } from 'simple-statistics';
import { ConfigError } from '../core/errors.ts';
import { requireGiven } from '../core/given.ts';
import { at } from '../core/math.ts';

/** Samples in a few numbers, in the samples' own unit. */
export interface Summary {
  readonly count: number;
  readonly median: number;
  /** Interval that holds the true median with a probability of 95 % (all samples when there are fewer than 6). */
  readonly low: number;
  readonly high: number;
  /** Median absolute deviation from the median. */
  readonly mad: number;
  readonly min: number;
  readonly max: number;
}

/** summarise([3, 1, 2]) has the median 2 and, with so few samples, the interval 1 to 3. */
export function summarise(samples: readonly number[]): Summary {
  requireGiven('The samples', samples, 'list');
  if (samples.length === 0) throw new ConfigError('there are no samples to summarise; give at least one.');
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = intervalRank(sorted.length);
  return {
    count: sorted.length,
    median: medianSorted(sorted),
    low: at(sorted, rank),
    high: at(sorted, sorted.length - 1 - rank),
    mad: medianAbsoluteDeviation(sorted),
    min: min(sorted),
    max: max(sorted),
  };
}

/**
 * Samples to leave out at either end so that the rest spans the median with at least 95 %: the largest r with
 * P(Binomial(n, 1/2) < r + 1) <= 2.5 %. No shape of the distribution is assumed. intervalRank(6) = 0, (20) = 5.
 */
export function intervalRank(n: number): number {
  let term = 0.5 ** n;
  let below = term;
  let rank = 0;
  for (let k = 1; k < n / 2; k++) {
    term *= (n - k + 1) / k;
    below += term;
    if (below > 0.025) break;
    rank = k;
  }
  return rank;
}

/** Half the interval's width as a share of the median: 0.05 reads "median +- 5 %". */
export function relativeHalfWidth(summary: Summary): number {
  if (summary.median === 0) return summary.high === 0 ? 0 : Infinity;
  return (summary.high - summary.low) / 2 / Math.abs(summary.median);
}

/** median([3, 1, 2]) = 2. @param values not empty. */
export function median(values: ArrayLike<number>): number {
  // Doubles sort without a comparison of ours: bootstraps ask for many medians. The library only indexes what it is given.
  return medianSorted(Float64Array.from(values).sort() as ArrayLike<number> as number[]);
}

/** quantile([1, 2, 3, 4, 5], 0.25) = 2. @param sorted ascending, not empty. */
export function quantile(sorted: readonly number[], share: number): number {
  return quantileSorted([...sorted], share);
}
