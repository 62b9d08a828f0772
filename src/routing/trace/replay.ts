/** A layer of a trace as choices of any number of sources, in any number of micro-batches. */
import { ConfigError } from '../../core/errors.ts';
import { at, balancedRun, maxOf, range, sum } from '../../core/math.ts';
import { seededRandom } from '../../core/random.ts';
import { type Choices, tokensOf } from '../choices.ts';
import type { TraceLayer } from './trace.ts';

/** Where a number of the choices comes from: a recording, or what is assumed in its place. */
export interface ReplayFacts {
  /** `assumed`: only counts were recorded, and tokens are drawn so that every expert has its count. */
  readonly ids: 'recorded' | 'assumed' | 'generated';
  /**
   * `assumed`: the k-th choice of a token weighs 1 / (k + 1), renormalised. The experts that it did not choose were never
   * recorded: they are taken to come in the order of their counts, each below 1 / (K + 1).
   */
  readonly scores: 'recorded' | 'assumed' | 'generated';
}

/**
 * @param most tokens at most; where only counts were recorded they are scaled down to so many.
 */
export function replayLayer(
  layer: TraceLayer,
  sizes: { readonly numExperts: number; readonly topK: number; readonly most: number; readonly seed: number },
): { readonly choices: Choices; readonly facts: ReplayFacts } {
  const { numExperts, topK, most, seed } = sizes;
  const numTokens = Math.min(layer.numTokens, most);
  const length = numTokens * topK;
  const ids_TK =
    layer.ids_TK?.subarray(0, length) ?? idsWithCounts(scaled(layer.count_E, numTokens, topK), topK, seed);
  const scores_TK = layer.scores_TK?.subarray(0, length) ?? assumedScores(numTokens, topK);
  return {
    choices: { numExperts, topK, ids_TK, scores_TK, all_TE: assumedRanking(layer.count_E, ids_TK, topK) },
    facts: {
      ids: layer.ids_TK === undefined ? 'assumed' : 'recorded',
      scores: layer.scores_TK === undefined ? 'assumed' : 'recorded',
    },
  };
}

function assumedScores(numTokens: number, topK: number): Float64Array {
  const raw = range(topK).map((k) => 1 / (k + 1));
  const total = sum(raw);
  return Float64Array.from({ length: numTokens * topK }, (_, i) => at(raw, i % topK) / total);
}

/** Scores of all experts that are held at once. A guess. */
const MOST_SCORES = 2 ** 25;

/** [T, E]: what nobody recorded, see `ReplayFacts`. */
function assumedRanking(count_E: readonly number[], ids_TK: Uint32Array, topK: number): Float64Array {
  const numExperts = count_E.length;
  const numTokens = ids_TK.length / topK;
  if (numTokens * numExperts > MOST_SCORES) {
    throw new ConfigError(
      `${numTokens} tokens times ${numExperts} experts are more than ${MOST_SCORES}; take fewer tokens.`,
    );
  }
  const most = maxOf(count_E, 1);
  const all_TE = new Float64Array(numTokens * numExperts);
  for (let token = 0; token < numTokens; token++) {
    for (let e = 0; e < numExperts; e++) all_TE[token * numExperts + e] = at(count_E, e) / most / (topK + 2);
    for (let k = 0; k < topK; k++) all_TE[token * numExperts + at(ids_TK, token * topK + k)] = 1 / (k + 1);
  }
  return all_TE;
}

/** Counts in proportion that add up to T K, none above T: the largest remainders are rounded up. */
export function scaled(count_E: readonly number[], numTokens: number, topK: number): number[] {
  const total = sum(count_E);
  if (total === 0 || numTokens === 0) return count_E.map(() => 0);
  const exact = count_E.map((count) => (count / total) * numTokens * topK);
  const counts = exact.map((value) => Math.min(numTokens, Math.floor(value)));
  const byRemainder = range(counts.length).sort(
    (a, b) => at(exact, b) - at(counts, b) - (at(exact, a) - at(counts, a)) || a - b,
  );
  for (let left = numTokens * topK - sum(counts), i = 0; left > 0; i++) {
    const e = at(byRemainder, i % byRemainder.length);
    if (at(counts, e) >= numTokens) continue;
    counts[e] = at(counts, e) + 1;
    left -= 1;
  }
  return counts;
}

/**
 * Tokens whose experts differ and have exactly these counts, which add up to T K and are at most T: rows lie in a line by
 * expert, and token t takes those at t, t + T, t + 2 T and so on. Then the tokens are shuffled.
 */
export function idsWithCounts(counts: readonly number[], topK: number, seed: number): Uint32Array {
  const line = counts.flatMap((count, expert) => Array<number>(count).fill(expert));
  const numTokens = line.length / topK;
  const order = range(numTokens);
  const random = seededRandom(seed);
  for (let i = numTokens - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    const kept = at(order, i);
    order[i] = at(order, j);
    order[j] = kept;
  }
  const ids = new Uint32Array(line.length);
  order.forEach((from, token) => {
    for (let k = 0; k < topK; k++) ids[token * topK + k] = at(line, from + k * numTokens);
  });
  return ids;
}

/** Micro-batches of sources: tokens in order, cut into runs whose lengths differ by at most one. */
export function dealt(choices: Choices, microBatches: number, numSources: number): Choices[][] {
  const tokens = tokensOf(choices);
  return range(microBatches).map((m) => {
    const [begin, count] = balancedRun(tokens, microBatches, m);
    return range(numSources).map((s) => {
      const [first, length] = balancedRun(count, numSources, s);
      return tokenRun(choices, begin + first, length);
    });
  });
}

function tokenRun(choices: Choices, first: number, count: number): Choices {
  const { numExperts, topK, ids_TK, scores_TK, all_TE } = choices;
  const cut = (values: ArrayLike<number>, width: number): number[] =>
    Array.from({ length: count * width }, (_, i) => at(values, first * width + i));
  return {
    ...{ numExperts, topK, ids_TK: cut(ids_TK, topK), scores_TK: cut(scores_TK, topK) },
    ...(all_TE !== undefined && { all_TE: cut(all_TE, numExperts) }),
  };
}
