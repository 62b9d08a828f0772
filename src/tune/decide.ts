/**
 * Which variant to take, from times. The n-th samples of all were taken together, so what is compared is their ratio,
 * pair by pair: it stands when the machine slows down for both. Two are ranked only when the interval of the ratio
 * leaves out 1 and they differ by more than a step of the clock; the default is left only for what beats it by more
 * than it differs from itself.
 */
import { summarise, type Summary } from '../measure/statistics.ts';
import { at, range } from '../core/math.ts';
import { formatNs, formatPercent } from '../core/units.ts';
import type { Evidence } from './point.ts';

export interface Decision {
  readonly choice: string | null;
  readonly reason: string;
}

/** a_n / b_n and the interval of their median. Pairs that both have count. */
export function ratioOf(a: readonly number[], b: readonly number[]): Summary {
  const count = Math.min(a.length, b.length);
  return summarise(range(count).map((i) => at(a, i) / at(b, i)));
}

/** How far a series may be from another of the same thing, as a share: the far end of the interval of their ratio. */
export function spreadOf(first: readonly number[], second: readonly number[]): number {
  const { low, high } = ratioOf(first, second);
  return Math.max(high - 1, 1 - low, 0);
}

export type Order = 'faster' | 'slower' | 'equal';

/** What can be said of a beside b. */
export function rank(a: Evidence, b: Evidence, grainNs: number): Order {
  const step = grainNs / Math.min(a.repeats, b.repeats);
  if (!(Math.abs(median(a) - median(b)) > step)) return 'equal';
  const { low, high } = ratioOf(a.samplesNs, b.samplesNs);
  if (high < 1) return 'faster';
  return low > 1 ? 'slower' : 'equal';
}

/**
 * @param evidence in the family's order of preference. Of several that beat the default and cannot be told from the
 * best, the first in that order is taken.
 */
export function decide(
  evidence: readonly Evidence[],
  defaultName: string,
  spread: number,
  grainNs: number,
): Decision {
  const own = evidence.find(({ variant }) => variant === defaultName);
  if (own === undefined) return { choice: null, reason: 'the default has no time' };
  const better = evidence.filter((e) => e !== own && beats(e, own, spread, grainNs));
  const [first] = [...better].sort((a, b) => ratio(a, own) - ratio(b, own));
  if (first === undefined) {
    return { choice: null, reason: `nothing beats ${defaultName} (${formatNs(median(own))}) for certain` };
  }
  const taken = better.find((e) => e === first || rank(first, e, grainNs) === 'equal') ?? first;
  return {
    choice: taken.variant,
    reason: `${(1 / ratio(taken, own)).toFixed(2)} times as fast as ${defaultName}, which differs from itself by ${formatPercent(spread)}`,
  };
}

/** By more than the run's own spread, beyond doubt. */
export function beats(candidate: Evidence, own: Evidence, spread: number, grainNs: number): boolean {
  return rank(candidate, own, grainNs) === 'faster' && 1 - ratio(candidate, own) > spread;
}

export function ratio(a: Evidence, b: Evidence): number {
  return ratioOf(a.samplesNs, b.samplesNs).median;
}

function median({ samplesNs }: Evidence): number {
  return summarise(samplesNs).median;
}
