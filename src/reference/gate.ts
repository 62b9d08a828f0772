/**
 * The router: scores of all experts and the choice of the best. T tokens, E experts, K chosen.
 *
 * The choice is that of exact arithmetic. Scores grow with the logits, so experts whose scores are equal in float64,
 * because they saturate or underflow, are still in the order of their logits; equal ones go to the lower id. A bias
 * that two experts share cancels. Groups whose scores underflow are in the order of the logarithms.
 */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { CheckError, ConfigError, invariant } from '../core/errors.ts';
import type { GroupLimit, ScoreFunction } from '../core/gating.ts';
import { at, range, sum } from '../core/math.ts';
import { sigmoid } from './activation.ts';
import { f64At, softmax } from './f64.ts';

export type GateScore = ScoreFunction;

export interface GateInput {
  readonly logits_TE: Float64Array;
  readonly numExperts: number;
  readonly topK: number;
  readonly score: GateScore;
  /** Divide the chosen scores by their sum. */
  readonly renormalize: boolean;
  /** [E], added to the scores for the choice only (DeepSeek-V3's e_score_correction_bias). */
  readonly bias_E?: Float64Array | undefined;
  readonly groups?: GroupLimit | undefined;
  /** The chosen scores are multiplied by it at the end (routed_scaling_factor). */
  readonly scale?: number | undefined;
}

export interface Routing {
  /** Experts in the order in which they were chosen, ties to the lower id. */
  readonly ids_TK: Int32Array;
  readonly scores_TK: Float64Array;
  /**
   * K-th minus (K+1)-th of the scores, with the bias and before renormalisation, or the gap between the last group
   * kept and the next where that is smaller: small means that another precision may choose otherwise. Infinity if K = E.
   */
  readonly gap_T: Float64Array;
}

/**
 * Scores over all E experts (softmax before the selection, or a sigmoid each), then the K best.
 * logits = [0, ln 3, ln 4], K = 2: scores 1/8, 3/8, 4/8 -> ids [2, 1], scores [0.5, 0.375], renormalised [4/7, 3/7].
 * With the bias [0.5, 0, 0] the order is 5/8, 4/8, 3/8 -> ids [0, 2], scores [0.125, 0.5].
 * An expert whose logit is -Infinity is masked: it adds nothing to its group's score, and a bias does not revive it.
 * @throws ConfigError when topK is not in 1..E, or groups do not fit; CheckError for a score that is NaN.
 */
export const gateTopK = piecewise(function* (input: GateInput): Pieces<Routing> {
  const { logits_TE, numExperts, topK, groups } = input;
  if (!(topK >= 1 && topK <= numExperts)) {
    throw new ConfigError(`topK (${topK}) must be from 1 to the number of experts (${numExperts}).`);
  }
  if (groups !== undefined) checkGroups(groups, numExperts, topK);
  const numTokens = logits_TE.length / numExperts;
  invariant(
    Number.isInteger(numTokens),
    () => `gateTopK: ${logits_TE.length} logits are not rows of ${numExperts}`,
  );
  const all_TE = scoresOf(input);
  const ids_TK = new Int32Array(numTokens * topK);
  const gap_T = new Float64Array(numTokens).fill(Infinity);
  for (let t = 0; t < numTokens; t++) {
    choose(input, all_TE, t, { ids_TK, gap_T });
    yield;
  }
  return { ids_TK, scores_TK: scoresOfChoice(input, ids_TK, all_TE), gap_T };
});

/** The choice of token t into `out`. */
function choose(
  { logits_TE, numExperts, topK, bias_E, groups, score }: GateInput,
  all_TE: Float64Array,
  t: number,
  out: Pick<Routing, 'ids_TK' | 'gap_T'>,
): void {
  const scores = all_TE.subarray(t * numExperts, (t + 1) * numExperts);
  if (scores.some(Number.isNaN)) throw new CheckError(`The router scores of token ${t} are not numbers.`);
  const logits = logits_TE.subarray(t * numExperts, (t + 1) * numExperts);
  const biased = scores.map((s, e) =>
    f64At(logits, e) === -Infinity ? -Infinity : s + (bias_E === undefined ? 0 : f64At(bias_E, e)),
  );
  const bias = (e: number): number => (bias_E === undefined ? 0 : f64At(bias_E, e));
  const before = (a: number, b: number): number => {
    const values = bias(a) === bias(b) ? logits : biased;
    return descending(f64At(values, a), f64At(values, b));
  };
  const allowed =
    groups === undefined
      ? { experts: range(numExperts), gap: Infinity }
      : keptExperts(
          groups,
          groups.score === 'max' && bias_E === undefined ? logits : biased,
          logits,
          before,
          score,
        );
  const ranked = allowed.experts.sort((a, b) => before(a, b) || a - b);
  const chosen = ranked.slice(0, topK);
  out.ids_TK.set(chosen, t * topK);
  const next = ranked[topK];
  const gap = next === undefined ? Infinity : f64At(biased, chosen.at(-1) ?? 0) - f64At(biased, next);
  out.gap_T[t] = Math.min(allowed.gap, Number.isNaN(gap) ? 0 : gap);
}

/** Of all experts, [T, E], before the choice. */
export function scoresOf({ logits_TE, numExperts, score }: GateInput): Float64Array {
  return score === 'softmax' ? softmax(logits_TE, numExperts) : logits_TE.map(sigmoid);
}

/** What a sum of scores may be before it is renormalised as it is. Far above 2.2e-308, where float64 loses digits. */
const LEAST_SUM = 1e-200;

/** The scores of experts [T, K] that were chosen, renormalised and scaled as the input says. */
export function scoresOfChoice(
  input: GateInput,
  ids_TK: ArrayLike<number>,
  all_TE = scoresOf(input),
): Float64Array {
  const { logits_TE, numExperts, topK, renormalize, scale = 1 } = input;
  const scores_TK = new Float64Array(ids_TK.length);
  for (let first = 0; first < ids_TK.length; first += topK) {
    const row = (first / topK) * numExperts;
    const chosen = range(topK).map((k) => row + at(ids_TK, first + k));
    let scores = chosen.map((i) => f64At(all_TE, i));
    if (renormalize && sum(scores) < LEAST_SUM) {
      // Both scores are then exponentials of the logit, which a common factor brings back.
      const highest = chosen.reduce((most, i) => Math.max(most, f64At(logits_TE, i)), -Infinity);
      scores = chosen.map((i) => Math.exp(f64At(logits_TE, i) - highest));
    }
    const total = renormalize ? sum(scores) : 1;
    scores.forEach((s, k) => (scores_TK[first + k] = (s / total) * scale));
  }
  return scores_TK;
}

/** Below it, sums of scores are compared as logarithms. */
const LEAST_GROUP = 1e-290;

/** The experts of the best groups, ties to the lower group, and the gap between the last group kept and the next. */
function keptExperts(
  { count, kept, score: by }: GroupLimit,
  values: Float64Array,
  logits: Float64Array,
  before: (a: number, b: number) => number,
  score: GateScore,
): { experts: number[]; gap: number } {
  const size = values.length / count;
  const groups = range(count).map((g) => {
    const [best = 0, second] = range(size)
      .map((i) => g * size + i)
      .sort((a, b) => before(a, b) || a - b);
    const isSum = by === 'top2' && second !== undefined && f64At(values, second) > -Infinity;
    return isSum
      ? {
          best,
          isSum,
          value: f64At(values, best) + f64At(values, second),
          log: logOfSum(score, f64At(logits, best), f64At(logits, second)),
        }
      : { best, isSum, value: f64At(values, best), log: f64At(logits, best) };
  });
  const ranked = range(count).sort((a, b) => {
    const [one, other] = [at(groups, a), at(groups, b)];
    if (!one.isSum && !other.isSum && by === 'max') return before(one.best, other.best) || a - b;
    const small = [one, other].every(({ value }) => value >= 0 && value < LEAST_GROUP);
    return (small ? 0 : descending(one.value, other.value)) || descending(one.log, other.log) || a - b;
  });
  const [last, next] = [at(groups, at(ranked, kept - 1)), groups[ranked[kept] ?? count]];
  const gap = next === undefined ? Infinity : last.value - next.value;
  const experts = ranked.slice(0, kept).flatMap((g) => range(size).map((i) => g * size + i));
  return { experts, gap: Number.isNaN(gap) ? 0 : gap };
}

/**
 * What grows with the sum of the scores of two logits where it cannot be told from others: its logarithm, up to what
 * all have in common; or of two sigmoids near 1, the negative logarithm of what they lack.
 */
function logOfSum(score: GateScore, a: number, b: number): number {
  const [high, low] = [Math.max(a, b), Math.min(a, b)];
  const more = Math.log1p(Math.exp(low - high));
  return score === 'sigmoid' && low > 0 ? low - more : high + more;
}

function checkGroups({ count, kept }: GroupLimit, numExperts: number, topK: number): void {
  const size = numExperts / count;
  if (Number.isInteger(size) && kept >= 1 && kept <= count && topK <= kept * size) return;
  throw new ConfigError(
    `${kept} of ${count} groups of ${numExperts} experts for topK ${topK} do not fit: groups must be of equal size, ` +
      `from 1 to all of them stay, and those hold at least topK experts.`,
  );
}

/** Larger first; equal infinities are equal. */
function descending(a: number, b: number): number {
  return a === b ? 0 : b - a;
}
