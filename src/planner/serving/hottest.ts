/** Rows of the hottest rank and its experts that have any, in expectation: draws of every token would take seconds. */
import { range, sum } from '../../core/math.ts';
import { seededRandom, shuffled } from '../../core/random.ts';
import { expectedLag } from '../../hardware/links/rate.ts';
import type { Skew } from '../../hardware/queries.ts';
import { shares, zipfWeights } from '../claims/skew.ts';

export interface HottestLoad {
  readonly rows: number;
  readonly activeExperts: number;
}

/**
 * Tokens choose k of E experts that lie on ep ranks in a seeded order. The hottest rank has its expected rows, and beyond
 * them what the largest of ep nearly normal sums is expected to exceed its mean by. An expert of share p has rows with
 * probability 1 - (1 - k p)^T, and the rank with the most such experts is as far beyond the mean.
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
  // Of a skewed choice the hottest rank is known, and chance may help another: half as much.
  const most = expectedLag({ kind: 'normal', deviationUs: 1 }, ep) / (alpha > 0 ? 2 : 1);
  return (tokens) => {
    const mean = tokens * topk * share;
    const variance = sum(hottest.map((p) => tokens * Math.min(1, topk * p) * (1 - Math.min(1, topk * p))));
    const rows = Math.min(mean + most * Math.sqrt(variance), tokens * Math.min(topk, hottest.length));
    const idle = hottest.map((p) => (1 - Math.min(1, topk * p)) ** tokens);
    const active = sum(idle.map((q) => 1 - q)) + most * Math.sqrt(sum(idle.map((q) => q * (1 - q))));
    const activeExperts = Math.min(active, hottest.length);
    return { rows: Math.max(1, rows), activeExperts: Math.max(1, Math.min(activeExperts, rows)) };
  };
}
