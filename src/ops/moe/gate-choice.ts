/**
 * Which choices of experts stand. Where f32 scores are compared, two experts or groups closer than the error of their
 * scores may come in either order: a kernel's choice then counts as right, and its scores are those of that choice.
 */
import type { Pieces } from '../../core/async/pieces.ts';
import { at, range } from '../../core/math.ts';
import { gateTopK, scoresOf, scoresOfChoice, type GateInput } from '../../reference/gate.ts';
import { DIVISION, exponential, ofLogit } from '../budgets.ts';

const U = 2 ** -24;
/** Below it f32 may be flushed to zero, as in budgets.ts. */
const LEAST = 2 ** -120;
/** Well above 2^-100, where kernels begin to compare logarithms (LEAST_SUM of shaders/gating): both ways are allowed there. */
const SMALL_SUM = 2 ** -90;

interface Chosen {
  readonly ids_TK: Int32Array;
  readonly scores_TK: Float64Array;
}

/**
 * The choice of float64, with that of `given` ids [T, K] for every token where they stand as well. Logits alone are
 * compared exactly: then only float64's stands.
 */
export function* standingChoice(input: GateInput, given: ArrayLike<number> | undefined): Pieces<Chosen> {
  const own = yield* gateTopK.pieces(input);
  const { bias_E, groups, topK } = input;
  const exact = bias_E === undefined && groups?.score !== 'top2';
  if (given?.length !== own.ids_TK.length || exact) return own;
  const all_TE = scoresOf(input);
  const ids_TK = own.ids_TK.slice();
  for (let first = 0; first < ids_TK.length; first += topK) {
    yield;
    const ids = range(topK).map((k) => at(given, first + k));
    if (ids.every((id, k) => id === at(own.ids_TK, first + k))) continue;
    if (stands(input, all_TE, first / topK, ids)) ids_TK.set(ids, first);
  }
  return { ids_TK, scores_TK: scoresOfChoice(input, ids_TK, all_TE) };
}

/** A number that f32 computes to within `error`. */
interface Near {
  readonly value: number;
  readonly error: number;
}

const surelyAbove = (a: Near, b: Near): boolean => a.value - b.value > a.error + b.error;

/** Whether no expert that was left out is surely better than one that was chosen, and none that comes later. */
function stands(input: GateInput, all_TE: Float64Array, t: number, ids: readonly number[]): boolean {
  const { numExperts, groups, logits_TE } = input;
  const row = t * numExperts;
  const open = (e: number): boolean => at(logits_TE, row + e) !== -Infinity;
  const isChoice = ids.every((id) => Number.isInteger(id) && id >= 0 && id < numExperts && open(id));
  if (!isChoice || new Set(ids).size !== ids.length) return false;
  const worth = worthOfExperts(input, all_TE, row);
  if (ids.some((id, k) => ids.slice(0, k).some((earlier) => surelyAbove(at(worth, id), at(worth, earlier)))))
    return false;
  const rivals = groups === undefined ? range(numExperts) : rivalsInGroups(input, worth, row, ids);
  return (
    rivals?.every(
      (e) => !open(e) || ids.includes(e) || !ids.some((id) => surelyAbove(at(worth, e), at(worth, id))),
    ) ?? false
  );
}

/** Scores with their bias. */
function worthOfExperts(input: GateInput, all_TE: Float64Array, row: number): Near[] {
  const { logits_TE, numExperts, bias_E, score } = input;
  const logits = logits_TE.subarray(row, row + numExperts);
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  // What the sum of a softmax is off by: its own roundings, and the mean of its terms'.
  const ofSum =
    score === 'sigmoid'
      ? 0
      : numExperts + logits.reduce((total, v, e) => total + at(all_TE, row + e) * ofLogit(v - highest), 0);
  return range(numExperts).map((e) => {
    const s = at(all_TE, row + e);
    const logit = at(logits, e);
    const ofOwn = score === 'sigmoid' ? (1 - s) * ofLogit(logit) + 1 : ofLogit(logit - highest) + ofSum;
    const value = s + (bias_E === undefined ? 0 : at(bias_E, e));
    return { value, error: U * (s * (ofOwn + DIVISION) + Math.abs(value)) + LEAST };
  });
}

/** Experts of groups that were kept for sure; undefined when one was chosen of a group that was not. */
function rivalsInGroups(
  input: GateInput,
  worth: readonly Near[],
  row: number,
  ids: readonly number[],
): number[] | undefined {
  const { groups: { count, kept, score } = { count: 1, kept: 1, score: 'max' }, numExperts } = input;
  const size = numExperts / count;
  const groups = range(count).map((g) => groupWorth(input, worth, row, g * size, size, score === 'top2'));
  const above = (a: GroupWorth, b: GroupWorth): boolean =>
    [a, b].every(({ sum }) => sum.value >= 0 && sum.value < SMALL_SUM)
      ? surelyAbove(a.log, b.log)
      : surelyAbove(a.sum, b.sum);
  const used = new Set(ids.map((id) => Math.floor(id / size)));
  // A group is out when as many as are kept are above it for sure, and in when all but fewer are below it for sure.
  const isOut = (g: number): boolean => groups.filter((other) => above(other, at(groups, g))).length >= kept;
  const isIn = (g: number): boolean =>
    groups.filter((other, i) => i !== g && !above(at(groups, g), other)).length < kept;
  if ([...used].some(isOut)) return undefined;
  const certain = range(count).filter((g) => used.has(g) || isIn(g));
  return certain.length > kept ? undefined : certain.flatMap((g) => range(size).map((i) => g * size + i));
}

interface GroupWorth {
  readonly sum: Near;
  /** Of a sum of scores without a bias. */
  readonly log: Near;
}

function groupWorth(
  { logits_TE, bias_E, numExperts }: GateInput,
  worth: readonly Near[],
  row: number,
  first: number,
  size: number,
  byTwo: boolean,
): GroupWorth {
  const experts = range(size).map((i) => ({
    ...at(worth, first + i),
    logit: at(logits_TE, row + first + i),
  }));
  const [best, second] = experts
    .filter(({ logit }) => logit !== -Infinity)
    .sort((a, b) => b.value - a.value || b.logit - a.logit);
  if (best === undefined) {
    const nothing = { value: -Infinity, error: 0 };
    return { sum: nothing, log: nothing };
  }
  const error = experts.reduce((most, e) => Math.max(most, e.error), 0);
  const both = byTwo && second !== undefined;
  const value = best.value + (both ? second.value : 0);
  const log = best.logit + (both ? Math.log1p(Math.exp(second.logit - best.logit)) : 0);
  return {
    sum: { value, error: both ? 2 * error + U * Math.abs(value) : error },
    // A bias is added to what the logarithm is of: then it says nothing.
    log: { value: log, error: bias_E === undefined ? U * (exponential(log) + numExperts) : Infinity },
  };
}
