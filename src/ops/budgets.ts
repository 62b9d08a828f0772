/**
 * How far a correct kernel may be from the float64 reference. Every bound follows from the number of roundings and
 * from the accuracy that WGSL requires of its functions ("Accuracy of concrete floating point expressions"), never
 * from what happened to pass. Errors are first order, in multiples of u = 2^-24; 1 ULP is at most 2 u, relative.
 */
import { gamma } from '../tensor/compare.ts';
import type { Budget } from '../tensor/compare.ts';
import { at, sum } from '../core/math.ts';

/** Division: 2.5 ULP. */
export const DIVISION = 5;
/** sqrt is 1 / inverseSqrt: 2 ULP and a division. */
export const SQUARE_ROOT = 4 + DIVISION;
/** exp(x): 3 + 2 |x| ULP, and x itself rounded once, which counts |x| times. */
export const exponential = (x: number): number => 6 + 5 * Math.abs(x);
/** tanh: 1e-5 absolute. It enters gelu as v / 2 (1 + tanh). */
export const GELU = Math.ceil(0.5e-5 / 2 ** -24);

/** Below this, f32 may be flushed to zero; products of such numbers are lost entirely. */
const UNDERFLOW = 2 ** -120;
const HALF = { unit: 2 ** -11, least: 2 ** -25 };

/** From here on the nearest value of a format is Infinity: half a step beyond its largest number. */
const INFINITE_FROM = { f16: 65520, f32: 2 ** 128 - 2 ** 103 };

/**
 * gamma(roundings) times what the error scales with, per element. Outputs in f16 are rounded once more, by a share of
 * their value, which `values` gives where it is smaller than the magnitude. Where value and error reach beyond the
 * format, its Infinity is right.
 */
export function budgetOf(
  magnitude: Float64Array,
  roundings: number | ((index: number) => number),
  dtype: 'f32' | 'f16' = 'f32',
  values = magnitude,
): Budget {
  const of = typeof roundings === 'number' ? () => roundings : roundings;
  const errors = magnitude.map((size, i) => gamma(of(i)) * Math.abs(size));
  return roundedTo(dtype, errors, values);
}

/** Absolute errors in f32 and what underflow loses, with the rounding of `values` to f16 where they are stored so. */
export function roundedTo(dtype: 'f32' | 'f16', errors: Float64Array, values: Float64Array): Budget {
  const perElement = errors.map((error) => error + UNDERFLOW);
  const overflows = Uint8Array.from(perElement, (error, i) =>
    Number(Math.abs(at(values, i)) + error >= INFINITE_FROM[dtype]),
  );
  if (dtype === 'f32') return { perElement, overflows };
  const rounded = perElement.map(
    (error, i) => error + HALF.unit * (Math.abs(at(values, i)) + error) + HALF.least,
  );
  return { perElement: rounded, overflows };
}

export const EXACT: Budget = { atol: 0, rtol: 0 };

/**
 * A score that f32 cannot hold comes back through the product of four exponentials of a quarter of its logarithm: more
 * products, and the 6 roundings of each. None of more than exp(SMALL) does.
 */
const ROOTS = 3 + 3 * 6;
const SMALL = -28;

/** Of an exponential in a score: past 200 there is nothing left of it, or of what it is added to. */
export const ofLogit = (v: number): number => exponential(Math.max(-200, Math.min(200, v)));

/** d of 1 / (1 + exp(-v)) is (1 - s) times the share d of the exponential. */
function sigmoidRoundings(v: number): number {
  return ofLogit(v) / (1 + Math.exp(v)) + 1 + DIVISION;
}

/** The error of a sum of scores: the mean of theirs, each with the score's weight. */
function meanOf(counts: readonly number[], logits: readonly number[], score: 'softmax' | 'sigmoid'): number {
  const logs =
    score === 'softmax' ? logits : logits.map((v) => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v))));
  const highest = logs.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logs.map((v) => Math.exp(v - highest));
  return sum(weights.map((weight, k) => weight * at(counts, k))) / sum(weights);
}

export interface ScoreBudgetInput {
  readonly logits_TE: Float64Array;
  readonly numExperts: number;
  readonly ids_TK: ArrayLike<number>;
  readonly topK: number;
  readonly score: 'softmax' | 'sigmoid';
  readonly renormalize: boolean;
  readonly scale?: number | undefined;
}

/**
 * Roundings of each score, [T, K]: the exponential of its own logit, the weighted mean of those in the denominator
 * with its sum over E, and divisions; with renormalisation the mean over the chosen once more. A scale is rounded, and
 * multiplied with.
 */
export function scoreRoundings(input: ScoreBudgetInput): Float64Array {
  const { logits_TE, numExperts, ids_TK, topK, score, renormalize, scale = 1 } = input;
  const ofScale = scale === 1 ? 0 : 2;
  const mayRestore = renormalize || Math.abs(scale) > 1;
  const numTokens = numExperts === 0 ? 0 : logits_TE.length / numExperts;
  const roundings = new Float64Array(numTokens * topK);
  for (let t = 0; t < numTokens; t++) {
    const logits = logits_TE.subarray(t * numExperts, (t + 1) * numExperts);
    const own = score === 'softmax' ? softmaxRoundings(logits) : sigmoidRoundings;
    const chosen = Array.from({ length: topK }, (_, k) => at(logits, at(ids_TK, t * topK + k)));
    const counts = chosen.map((v) => own(v));
    const ofSum = renormalize ? meanOf(counts, chosen, score) + topK + DIVISION : 0;
    const base = score === 'softmax' ? logits.reduce((a, b) => Math.max(a, b), -Infinity) : 0;
    counts.forEach((count, k) => {
      const ofRoots = mayRestore && at(chosen, k) - base < SMALL ? ROOTS : 0;
      roundings[t * topK + k] = count + ofSum + ofScale + ofRoots;
    });
  }
  return roundings;
}

function softmaxRoundings(logits: Float64Array): (logit: number) => number {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  let weighted = 0;
  for (const v of logits) {
    const p = Math.exp(v - highest);
    total += p;
    if (p > 0) weighted += p * ofLogit(v - highest);
  }
  const ofSum = logits.length + weighted / total;
  return (logit) => (logit === -Infinity ? 0 : ofLogit(logit - highest)) + ofSum + DIVISION;
}
