/** What an uneven routing leaves to the hottest rank of an EP group: its rows, and how many of its experts have any. */
import { seededRandom, seedOf } from '../core/random.ts';
import { sum } from '../core/math.ts';
import type { MoeQuery, Skew } from './queries.ts';

/** Means over draws; rows of the hottest rank and its experts that have any. */
export interface HottestRank {
  readonly rows: number;
  readonly activeExperts: number;
  /** Rows of each of the rank's experts in the last draw, largest first: what tiles are counted from. */
  readonly counts: readonly number[];
}

/** Draws of a power law that are averaged: the published tables average five. A guess. */
const DRAWS = 8;

/** The hottest rank of a layer. `rows` and `activeExperts` of the query go before its skew. */
export function hottestRank(query: MoeQuery): HottestRank {
  const { tokens, experts, topk, ep = 1, skew = { kind: 'balanced' } } = query;
  const slots = query.slots ?? experts;
  const local = slots / ep;
  if (query.rows !== undefined) {
    const activeExperts = query.activeExperts ?? Math.min(local, query.rows);
    return { rows: query.rows, activeExperts, counts: even(query.rows, activeExperts) };
  }
  const rows = tokens * topk;
  if (skew.kind === 'balanced') {
    const mine = Math.max(rows / ep, Math.min(1, rows));
    const activeExperts = Math.min(local, Math.max(1, Math.ceil(rows / ep)));
    return { rows: mine, activeExperts, counts: even(mine, activeExperts) };
  }
  const spread = query.placed === true || slots > experts;
  const draws = drawsOf(skew, query).map((counts) =>
    spread ? hottestPlaced(counts, slots, ep) : hottestOf(counts, local),
  );
  const last = draws.at(-1) ?? [];
  return {
    rows: sum(draws.map((counts) => sum(counts))) / DRAWS,
    activeExperts: sum(draws.map((counts) => counts.filter((n) => n > 0).length)) / DRAWS,
    counts: last,
  };
}

/** Of the last so many routings: planners ask for the same ones again and again. A guess. */
const MOST_KEPT = 4096;
const kept = new Map<string, number[][]>();

/** Rows of all experts, draw by draw. */
function drawsOf(skew: Skew, query: MoeQuery): number[][] {
  const name = `${skewName(skew)} ${query.tokens} ${query.experts} ${query.topk}`;
  const known = kept.get(name);
  if (known !== undefined) return known;
  if (kept.size >= MOST_KEPT) kept.clear();
  const random = seededRandom(seedOf(name));
  const draws = Array.from({ length: DRAWS }, () => countsOf(skew, query, () => random.uniform()));
  kept.set(name, draws);
  return draws;
}

/** How messages and regions name a skew: `balanced`, `zipf:1.2`, `pl1.2`. */
export function skewName(skew: Skew): string {
  if (skew.kind === 'zipf') return `zipf:${skew.alpha}`;
  return skew.kind === 'power-law' ? `pl${skew.alpha}` : skew.kind;
}

function even(rows: number, experts: number): number[] {
  return Array.from({ length: Math.max(1, Math.round(experts)) }, () => rows / Math.max(1, experts));
}

/** Rows of all experts in one draw. */
function countsOf(skew: Skew, query: MoeQuery, uniform: () => number): number[] {
  const { tokens, experts, topk } = query;
  const rows = tokens * topk;
  if (skew.kind === 'power-law') return powerLawCounts(rows, tokens, experts, skew.alpha, uniform);
  const alpha = skew.kind === 'zipf' ? skew.alpha : 0;
  const weights = Array.from({ length: experts }, (_, i) => (i + 1) ** -alpha);
  return topkCounts(weights, tokens, topk, uniform);
}

/** Tokens beyond which a draw of all of them is scaled up from a draw of so many: its mean is the same. A guess. */
const MOST_DRAWN = 2048;
/** Keys of a draw, tokens times experts. A guess: some ten milliseconds. */
const MOST_KEYS = 2 ** 19;

/** Each token takes k distinct experts in proportion to the weights (the keys of Efraimidis and Spirakis, 2006). */
function topkCounts(
  weights: readonly number[],
  tokens: number,
  topk: number,
  uniform: () => number,
): number[] {
  const drawn = Math.min(tokens, MOST_DRAWN, Math.ceil(MOST_KEYS / weights.length));
  const counts = new Array<number>(weights.length).fill(0);
  for (let t = 0; t < drawn; t++) {
    const keys = weights.map((weight, e) => ({ e, key: -Math.log(1 - uniform()) / weight }));
    keys.sort((a, b) => a.key - b.key);
    for (const { e } of keys.slice(0, topk)) counts[e] = (counts[e] ?? 0) + 1;
  }
  return counts.map((n) => (n * tokens) / drawn);
}

/**
 * Expert densities x with probability x^-alpha between two bounds, scaled to all rows and rounded: how the measurements of
 * fused MoE layers in NVIDIA's AIConfigurator draw them (Apache-2.0, `power_law_logits`).
 */
function powerLawCounts(
  rows: number,
  tokens: number,
  experts: number,
  alpha: number,
  uniform: () => number,
): number[] {
  const [least, most] = rows > experts ? [1, Math.max(1.01, tokens * 0.8)] : [0.01, 2];
  const a = alpha === 1 ? 1 - 1e-9 : 1 - alpha;
  const densities = Array.from(
    { length: experts },
    () => (least ** a + uniform() * (most ** a - least ** a)) ** (1 / a),
  );
  const scale = rows / sum(densities);
  const counts = densities.map((x) => Math.min(tokens, Math.round(x * scale)));
  spread(rows - sum(counts), counts, tokens);
  return counts;
}

/** Gives what rounding left over to the experts in turn, or takes it from them, the largest first. */
function spread(left: number, counts: number[], most: number): void {
  const order = counts.map((n, e) => ({ n, e })).sort((a, b) => b.n - a.n);
  const step = Math.sign(left);
  for (let rounds = 0, rest = Math.abs(left); rest > 0 && rounds < rest + most; rounds++) {
    let moved = 0;
    for (const { e } of order) {
      if (rest === 0) break;
      const n = (counts[e] ?? 0) + step;
      if (n < 0 || n > most) continue;
      counts[e] = n;
      moved++;
      rest--;
    }
    if (moved === 0) return;
  }
}

/** Rows of the experts of the rank that has the most, largest first: rank r owns experts r * local .. */
function hottestOf(counts: readonly number[], local: number): number[] {
  let best: number[] = [];
  let most = -1;
  for (let first = 0; first < counts.length; first += local) {
    const mine = counts.slice(first, first + local);
    if (sum(mine) <= most) continue;
    most = sum(mine);
    best = mine;
  }
  return best.sort((a, b) => b - a);
}

/**
 * As `hottestOf`, with copies of the most loaded experts in the slots that are left, and slots dealt to ranks by load: the largest
 * first, each to the least loaded rank that has room (what DeepSeek's EPLB does within one group).
 */
function hottestPlaced(counts: readonly number[], slots: number, ranks: number): number[] {
  const copies = counts.map(() => 1);
  const load = (e: number): number => (counts[e] ?? 0) / (copies[e] ?? 1);
  for (let left = slots - counts.length; left > 0; left--) {
    let most = 0;
    for (let e = 1; e < counts.length; e++) if (load(e) > load(most)) most = e;
    copies[most] = (copies[most] ?? 1) + 1;
  }
  const loads = counts.flatMap((_, e) => Array.from({ length: copies[e] ?? 1 }, () => load(e)));
  loads.sort((a, b) => b - a);
  const room = Math.ceil(slots / ranks);
  const held = Array.from({ length: ranks }, () => ({ total: 0, loads: [] as number[] }));
  for (const one of loads) {
    let least: (typeof held)[number] | undefined;
    for (const rank of held)
      if (rank.loads.length < room && (least === undefined || rank.total < least.total)) least = rank;
    least?.loads.push(one);
    if (least !== undefined) least.total += one;
  }
  const hottest = held.reduce((a, b) => (b.total > a.total ? b : a));
  return hottest.loads.map((rows) => Math.max(rows, 0));
}
