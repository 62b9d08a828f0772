/** Rows of the hottest rank and its experts that have any, in expectation: draws of every token would take seconds. */
import { range, sum } from '../../core/math.ts';
import { seededRandom, shuffled } from '../../core/random.ts';
import type { Skew } from '../../hardware/queries.ts';
import { shares, zipfWeights } from '../claims/skew.ts';

export interface HottestLoad {
  readonly rows: number;
  readonly activeExperts: number;
}

/**
 * Tokens choose k of E experts that lie on ep ranks in a seeded order. The hottest rank has its expected rows, and beyond
 * them what the largest of ep nearly normal sums exceeds its mean by, s sqrt(2 ln ep). An expert of share p has rows with
 * probability 1 - (1 - k p)^T.
 */
export function hottestLoads(
  skew: Skew,
  experts: number,
  topk: number,
  ep: number,
): (tokens: number) => HottestLoad {
  const alpha = skew.kind === 'zipf' ? skew.alpha : 0;
  // Always the same order: which expert is hot has nothing to do with where it lies.
  const perExpert = shuffled(shares(zipfWeights(experts, alpha), topk), seededRandom(1));
  const local = Math.ceil(experts / ep);
  const ranks = range(ep).map((r) => perExpert.slice(r * local, (r + 1) * local));
  const hottest = ranks.reduce((most, rank) => (sum(rank) > sum(most) ? rank : most));
  const share = sum(hottest);
  return (tokens) => {
    const mean = tokens * topk * share;
    const variance = sum(hottest.map((p) => tokens * Math.min(1, topk * p) * (1 - Math.min(1, topk * p))));
    const peak = ep > 1 ? Math.sqrt(2 * Math.log(ep) * variance) / (alpha > 0 ? 2 : 1) : 0;
    const rows = Math.min(mean + peak, tokens * Math.min(topk, hottest.length));
    const activeExperts = sum(hottest.map((p) => 1 - (1 - Math.min(1, topk * p)) ** tokens));
    return { rows: Math.max(1, rows), activeExperts: Math.max(1, Math.min(activeExperts, rows)) };
  };
}
