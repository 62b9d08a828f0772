/** What a row's two sides say: faster, slower, the same, or nothing that can be told. */
import { median } from '../measure/statistics.ts';
import type { Effect } from './effect.ts';

export type Word = 'faster' | 'slower' | 'same' | 'ambiguous';

/** Whether the sides are said to differ. */
export function isNamed(word: Word): word is 'faster' | 'slower' {
  return word === 'faster' || word === 'slower';
}

/** Chance of naming a row in which nothing differs. */
export const ALPHA = 0.05;
/** Less is of no use to a reader, whatever its p. A guess. */
const LEAST_EFFECT = 0.02;
/** Rows so unsteady that more than this could hide are never called the same. A guess. */
const MOST_SAME = 0.05;

/**
 * The smallest effect worth naming: 2 %, or what a row differs by from itself, if that is more: the median over runs of
 * the ratio of its odd rounds to its even ones.
 * @param runs samples of each run, one per round.
 */
export function leastEffect(runs: readonly (readonly number[])[]): number {
  const floors = runs
    .filter((samples) => samples.length >= 4)
    .map((samples) => {
      const [even, odd] = [0, 1].map((parity) => median(samples.filter((_, i) => i % 2 === parity)));
      return Math.abs(Math.log((odd ?? 1) / (even ?? 1)));
    })
    .filter(Number.isFinite);
  return Math.max(LEAST_EFFECT, floors.length === 0 ? 0 : Math.expm1(median(floors)));
}

/** @param p of the rank test of this row alone. @param least see `leastEffect`: 0.02 is 2 %. */
export function wordFor({ ratio, low, high }: Effect, p: number, least: number): Word {
  if (p <= ALPHA && isWorthNaming(ratio, least)) return ratio > 1 ? 'slower' : 'faster';
  const bound = Math.min(least, MOST_SAME);
  return least <= MOST_SAME && high <= 1 + bound && low >= 1 / (1 + bound) ? 'same' : 'ambiguous';
}

export function isWorthNaming(ratio: number, least: number): boolean {
  return ratio > 1 + least || ratio < 1 / (1 + least);
}
