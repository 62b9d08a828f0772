/**
 * Which variant to take, from times. Two times are ranked only when their intervals do not overlap and they differ by
 * more than a step of the clock; the default is left only for what beats it by more than it differs from itself.
 */
import { summarise, type Summary } from '../bench/statistics.ts';
import { formatNs } from '../core/units.ts';
import type { Evidence } from './point.ts';

export interface Decision {
  readonly choice: string | null;
  readonly reason: string;
}

/** How far two series of the same thing are apart, as a share of their median. */
export function spreadOf(first: readonly number[], second: readonly number[]): number {
  const [a, b] = [summarise(first).median, summarise(second).median];
  return Math.abs(a - b) / summarise([...first, ...second]).median;
}

export type Order = 'faster' | 'slower' | 'equal';

/** What can be said of a beside b. */
export function rank(a: Evidence, b: Evidence, grainNs: number): Order {
  const [one, other] = [summarise(a.samplesNs), summarise(b.samplesNs)];
  const step = grainNs / Math.min(a.repeats, b.repeats);
  if (!(Math.abs(one.median - other.median) > step)) return 'equal';
  if (one.high < other.low) return 'faster';
  return one.low > other.high ? 'slower' : 'equal';
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
  const base = summarise(own.samplesNs);
  const better = evidence.filter((e) => e !== own && beats(e, own, spread, grainNs));
  const [first] = [...better].sort((a, b) => median(a) - median(b));
  if (first === undefined) {
    return { choice: null, reason: `nothing beats ${defaultName} (${formatNs(base.median)}) for certain` };
  }
  const taken = better.find((e) => e === first || rank(first, e, grainNs) === 'equal') ?? first;
  const gain = gainText(summarise(taken.samplesNs), base);
  return { choice: taken.variant, reason: `${gain}; the default differs from itself by ${percent(spread)}` };
}

/** By more than the run's own spread, beyond doubt. */
export function beats(candidate: Evidence, own: Evidence, spread: number, grainNs: number): boolean {
  const share = 1 - median(candidate) / median(own);
  return rank(candidate, own, grainNs) === 'faster' && share > spread;
}

function median({ samplesNs }: Evidence): number {
  return summarise(samplesNs).median;
}

function gainText(taken: Summary, base: Summary): string {
  return `${formatNs(taken.median)} instead of ${formatNs(base.median)}, ${(base.median / taken.median).toFixed(2)} times as fast`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
