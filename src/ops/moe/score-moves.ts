/**
 * How far scores may be off where the logits are sums of the kernel's own. An error of a logit moves the scores by a share
 * of themselves while it is small, and never by more than a score can be: the bound does not grow with the logits.
 */
import { at, maxOf, range, sum } from '../../core/math.ts';
import { sigmoid } from '../../reference/activation.ts';
import type { ScoreBudgetInput } from '../budgets.ts';

/** Absolute bounds, [T, K]. @param errors_TE how far each logit may be off. */
export function scoreMoves(input: ScoreBudgetInput, errors_TE: Float64Array): Float64Array {
  const { logits_TE, numExperts, ids_TK, topK, score, renormalize, scale = 1 } = input;
  const moves_TK = new Float64Array(ids_TK.length);
  for (let slot = 0; slot < ids_TK.length; slot += topK) {
    const row = (slot / topK) * numExperts;
    const chosen = range(topK).map((k) => at(ids_TK, slot + k));
    const rivals = renormalize ? chosen : range(numExperts);
    // The slope of log sigmoid is at most 1: an error of a logit is one of its logarithm.
    const log = (e: number): number =>
      score === 'softmax' ? at(logits_TE, row + e) : logSigmoid(at(logits_TE, row + e));
    const error = (e: number): number => at(errors_TE, row + e);
    chosen.forEach((id, k) => {
      const alone = score === 'sigmoid' && !renormalize;
      const own = alone ? at(logits_TE, row + id) : log(id);
      if (own === -Infinity) return;
      const others = alone ? [] : rivals.filter((e) => e !== id);
      // A share of a sum is the sigmoid of the distance from all others: furthest where they err the other way.
      const shareWith = (sign: number): number =>
        sigmoid(own + sign * error(id) - (alone ? 0 : logSum(others.map((e) => log(e) - sign * error(e)))));
      const [low, exact, high] = [shareWith(-1), shareWith(0), shareWith(1)] as const;
      moves_TK[slot + k] = Math.abs(scale) * Math.max(high - exact, exact - low);
    });
  }
  return moves_TK;
}

const logSigmoid = (v: number): number => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v)));

/** Logarithm of the sum of the exponentials; -Infinity of none. */
function logSum(logs: readonly number[]): number {
  const highest = maxOf(logs);
  if (highest === -Infinity) return highest;
  return highest + Math.log(sum(logs.map((log) => Math.exp(log - highest))));
}
