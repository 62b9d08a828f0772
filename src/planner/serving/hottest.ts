/** Rows of the hottest rank and its experts that have any, in expectation: draws of every token would take seconds. */
import { at, ceilDiv, range, sum } from '../../core/math.ts';
import { seededRandom, shuffled } from '../../core/random.ts';
import { expectedLag } from '../../hardware/links/rate.ts';
import { eplbGlobal } from '../../routing/balance/eplb.ts';
import { shares, zipfWeights } from '../claims/skew.ts';
import type { Routing } from './routing.ts';

export interface HottestLoad {
  readonly rows: number;
  readonly activeExperts: number;
}

/** How experts lie on ranks: in order, or copies of the most chosen beside them, placed by load. */
interface Lying {
  readonly experts: number;
  readonly slots: number;
  readonly topk: number;
  readonly ep: number;
}

/**
 * Tokens choose k of E experts that lie on ep ranks: by a law in a seeded order, of a trace in the order of their numbers.
 * The hottest rank has its expected rows, and beyond them what the largest of ep nearly normal sums is expected to exceed its
 * mean by. An expert of share p has rows with probability 1 - (1 - k p)^T, and the rank with the most such experts is as far
 * beyond the mean. Of a trace the mean over its layers.
 */
export function hottestLoads(routing: Routing, lying: Lying): (tokens: number) => HottestLoad {
  const layers = ranksOf(routing, lying).map((ranks) => hottestOf(ranks, routing, lying));
  return (tokens) => {
    const loads = layers.map((layer) => layer(tokens));
    const mean = (of: (load: HottestLoad) => number): number => sum(loads.map(of)) / loads.length;
    return { rows: mean(({ rows }) => rows), activeExperts: mean(({ activeExperts }) => activeExperts) };
  };
}

/** Of each layer the shares of the experts of each rank. */
function ranksOf(routing: Routing, lying: Lying): number[][][] {
  const { slots, topk, ep } = lying;
  if (routing.kind === 'recorded') return routing.layers.map((layer) => placed(layer, lying));
  const alpha = routing.kind === 'zipf' ? routing.alpha : 0;
  // Always the same order: which expert is hot has nothing to do with where it lies.
  const order = shuffled(shares(zipfWeights(slots, alpha), topk), seededRandom(1));
  return [inOrder(order, ep)];
}

function inOrder(perExpert: readonly number[], ep: number): number[][] {
  const local = ceilDiv(perExpert.length, ep);
  return range(ep).map((r) => perExpert.slice(r * local, (r + 1) * local));
}

/** Copies share their expert's rows evenly, as in DeepSeek's EPLB. */
function placed(perExpert: readonly number[], { experts, slots, ep }: Lying): number[][] {
  if (slots <= experts) return inOrder(perExpert, ep);
  const ranks = eplbGlobal(perExpert, ep * ceilDiv(slots, ep), ep);
  const copies = perExpert.map(() => 0);
  for (const expert of ranks.flat()) copies[expert] = at(copies, expert) + 1;
  return ranks.map((own) => own.map((expert) => at(perExpert, expert) / at(copies, expert)));
}

function hottestOf(
  ranks: readonly (readonly number[])[],
  routing: Routing,
  { topk, ep }: Lying,
): (tokens: number) => HottestLoad {
  const hottest = ranks.reduce((most, rank) => (sum(rank) > sum(most) ? rank : most));
  const share = sum(hottest);
  const skewed = routing.kind === 'recorded' || (routing.kind === 'zipf' && routing.alpha > 0);
  // Of a skewed choice the hottest rank is known, and chance may help another: half as much.
  const most = expectedLag({ kind: 'normal', deviationUs: 1 }, ep) / (skewed ? 2 : 1);
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
