/** The router: scores of all experts and the choice of the best. T tokens, E experts, K chosen. */
import { CheckError, ConfigError, invariant } from '../core/errors.ts';
import type { GroupLimit, ScoreFunction } from '../core/gating.ts';
import { range } from '../core/math.ts';
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
export function gateTopK(input: GateInput): Routing {
  const { logits_TE, numExperts, topK, renormalize, bias_E, groups, scale = 1 } = input;
  if (!(topK >= 1 && topK <= numExperts)) {
    throw new ConfigError(`topK (${topK}) must be from 1 to the number of experts (${numExperts}).`);
  }
  if (groups !== undefined) checkGroups(groups, numExperts, topK);
  const numTokens = logits_TE.length / numExperts;
  invariant(
    Number.isInteger(numTokens),
    () => `gateTopK: ${logits_TE.length} logits are not rows of ${numExperts}`,
  );
  const all_TE = input.score === 'softmax' ? softmax(logits_TE, numExperts) : logits_TE.map(sigmoid);
  const ids_TK = new Int32Array(numTokens * topK);
  const scores_TK = new Float64Array(numTokens * topK);
  const gap_T = new Float64Array(numTokens).fill(Infinity);
  for (let t = 0; t < numTokens; t++) {
    const scores = all_TE.subarray(t * numExperts, (t + 1) * numExperts);
    if (scores.some(Number.isNaN)) throw new CheckError(`The router scores of token ${t} are not numbers.`);
    const logits = logits_TE.subarray(t * numExperts, (t + 1) * numExperts);
    const biased = scores.map((s, e) =>
      f64At(logits, e) === -Infinity ? -Infinity : s + (bias_E === undefined ? 0 : f64At(bias_E, e)),
    );
    // Both scores grow with the logit; ranked by logit, experts differ even where their scores saturate or underflow.
    const order = bias_E === undefined ? logits : biased;
    const allowed =
      groups === undefined
        ? { experts: range(numExperts), gap: Infinity }
        : keptExperts(groups, groups.score === 'top2' ? biased : order);
    const ranked = allowed.experts.sort((a, b) => descending(f64At(order, a), f64At(order, b)) || a - b);
    const chosen = ranked.slice(0, topK);
    const total = renormalize ? chosen.reduce((sum, e) => sum + f64At(scores, e), 0) : 1;
    ids_TK.set(chosen, t * topK);
    scores_TK.set(
      chosen.map((e) => (f64At(scores, e) / total) * scale),
      t * topK,
    );
    const next = ranked[topK];
    const gap = next === undefined ? Infinity : f64At(biased, chosen.at(-1) ?? 0) - f64At(biased, next);
    gap_T[t] = Math.min(allowed.gap, Number.isNaN(gap) ? 0 : gap);
  }
  return { ids_TK, scores_TK, gap_T };
}

/** The experts of the best groups, ties to the lower group, and the gap between the last group kept and the next. */
function keptExperts(
  { count, kept, score }: GroupLimit,
  values: Float64Array,
): { experts: number[]; gap: number } {
  const size = values.length / count;
  const groupScore = range(count).map((g) => {
    const [best = -Infinity, second = -Infinity] = values
      .slice(g * size, (g + 1) * size)
      .sort()
      .reverse();
    return score === 'max' || second === -Infinity ? best : best + second;
  });
  const ranked = range(count).sort((a, b) => descending(groupScore[a] ?? 0, groupScore[b] ?? 0) || a - b);
  const [last, next] = [ranked[kept - 1] ?? 0, ranked[kept]];
  const gap = next === undefined ? Infinity : (groupScore[last] ?? 0) - (groupScore[next] ?? 0);
  const experts = ranked.slice(0, kept).flatMap((g) => range(size).map((i) => g * size + i));
  return { experts, gap: Number.isNaN(gap) ? 0 : gap };
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
