/**
 * The exact test of Mann and Whitney: of all ways to call `a.length` of the pooled values "a", the share whose ranks are
 * at least as far out. Ties share their mid-rank, and are counted exactly: an approximation is poor at 5 against 5.
 * H. B. Mann, D. R. Whitney (1947), "On a test of whether one of two random variables is stochastically larger".
 */
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';

export interface RankTest {
  /** Pairs in which a value of a exceeds one of b; a tie counts half. */
  readonly u: number;
  /** Two-sided: twice the smaller tail, at most 1. */
  readonly p: number;
}

/** Sizes up to which the table of sums stays small: 200 against 200 take a tenth of a second. A guess. */
const MOST_VALUES = 400;

/**
 * rankTest([1, 2, 3], [4, 5, 6]) = { u: 0, p: 0.1 }: 2 of 20 ways are as far out.
 * @throws ConfigError for a side without values, a value that is no number, and more than 400 values.
 */
export function rankTest(a: readonly number[], b: readonly number[]): RankTest {
  if (a.length === 0 || b.length === 0 || a.length + b.length > MOST_VALUES) {
    throw new ConfigError(
      `a rank test of ${a.length} against ${b.length} values: each side needs one, and both at most ${MOST_VALUES}.`,
    );
  }
  const ranks = doubledRanks([...a, ...b]);
  const found = ranks.slice(0, a.length).reduce((sum, rank) => sum + rank, 0);
  const [below, above, all] = tails(ranks, a.length, found);
  return {
    u: (found - a.length * (a.length + 1)) / 2,
    p: Math.min(1, (2 * Math.min(below, above)) / all),
  };
}

/** Twice the mid-rank of each value, from 2 on: whole numbers, ties or not. */
function doubledRanks(values: readonly number[]): number[] {
  if (values.some(Number.isNaN))
    throw new ConfigError('a rank test has no place for a value that is no number.');
  const order = values.map((_, i) => i).sort((i, j) => at(values, i) - at(values, j));
  const ranks = new Array<number>(values.length).fill(0);
  for (let first = 0; first < order.length;) {
    let end = first + 1;
    while (end < order.length && at(values, at(order, end)) === at(values, at(order, first))) end++;
    for (const i of order.slice(first, end)) ranks[i] = first + 1 + end;
    first = end;
  }
  return ranks;
}

/** Ways to take `count` of the ranks whose sum is at most, and at least, `found`; and all of them. */
function tails(ranks: readonly number[], count: number, found: number): [number, number, number] {
  const most = ranks.reduce((sum, rank) => sum + rank, 0);
  // ways[taken][sum]
  const ways = Array.from({ length: count + 1 }, () => new Float64Array(most + 1));
  at(ways, 0)[0] = 1;
  for (const [seen, rank] of ranks.entries()) {
    for (let taken = Math.min(seen + 1, count); taken >= 1; taken--) {
      const [from, to] = [at(ways, taken - 1), at(ways, taken)];
      for (let sum = most; sum >= rank; sum--) to[sum] = (to[sum] ?? 0) + (from[sum - rank] ?? 0);
    }
  }
  let [below, above, all] = [0, 0, 0];
  at(ways, count).forEach((number, sum) => {
    all += number;
    if (sum <= found) below += number;
    if (sum >= found) above += number;
  });
  return [below, above, all];
}
