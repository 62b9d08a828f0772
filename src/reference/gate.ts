/** The router: scores of all experts and the choice of the best. T tokens, E experts, K chosen. */
import { CheckError, ConfigError, invariant } from '../core/errors.ts';
import { range } from '../core/math.ts';
import { sigmoid } from './activation.ts';
import { f64At, softmax } from './f64.ts';

export type GateScore = 'softmax' | 'sigmoid';

export interface GateInput {
  readonly logits_TE: Float64Array;
  readonly numExperts: number;
  readonly topK: number;
  readonly score: GateScore;
  /** Divide the chosen scores by their sum. */
  readonly renormalize: boolean;
}

export interface Routing {
  /** Experts by descending score, ties to the lower id. */
  readonly ids_TK: Int32Array;
  readonly scores_TK: Float64Array;
  /** K-th minus (K+1)-th score before renormalisation: small means that another precision may choose otherwise. Infinity if K = E. */
  readonly gap_T: Float64Array;
}

/**
 * Scores over all E experts (softmax before the selection, or a sigmoid each), then the K best.
 * logits = [0, ln 3, ln 4], K = 2: scores 1/8, 3/8, 4/8 -> ids [2, 1], scores [0.5, 0.375], renormalised [4/7, 3/7].
 * @throws ConfigError when topK is not in 1..E; CheckError for a score that is NaN.
 */
export function gateTopK(input: GateInput): Routing {
  const { logits_TE, numExperts, topK, renormalize } = input;
  if (!(topK >= 1 && topK <= numExperts)) {
    throw new ConfigError(`topK (${topK}) must be from 1 to the number of experts (${numExperts}).`);
  }
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
    // Both scores grow with the logit; ranked by logit, experts differ even where their scores saturate or underflow.
    const logits = logits_TE.subarray(t * numExperts, (t + 1) * numExperts);
    const ranked = range(numExperts).sort((a, b) => descending(f64At(logits, a), f64At(logits, b)) || a - b);
    const chosen = ranked.slice(0, topK);
    const total = renormalize ? chosen.reduce((sum, e) => sum + f64At(scores, e), 0) : 1;
    ids_TK.set(chosen, t * topK);
    scores_TK.set(
      chosen.map((e) => f64At(scores, e) / total),
      t * topK,
    );
    const next = ranked[topK];
    if (next !== undefined) gap_T[t] = f64At(scores, chosen.at(-1) ?? 0) - f64At(scores, next);
  }
  return { ids_TK, scores_TK, gap_T };
}

/** Larger first; equal infinities are equal. */
function descending(a: number, b: number): number {
  return a === b ? 0 : b - a;
}
