/**
 * How far attention in f32 may be from float64, per element of o. Every score has an error of its own, and those move the
 * weights: by a share of themselves while they are small, and never by more than there is weight. So a key that is far
 * below the highest stays without weight however large the scores are, and the bound does not grow with them.
 */
import { piecewise, type Pieces } from '../../core/async/pieces.ts';
import { maxOf } from '../../core/math.ts';
import { type AttentionInput, capped, type Head, heads } from '../../reference/attention.ts';
import { absDot, addScaled, dot, f64At } from '../../reference/f64.ts';
import { gamma } from '../../tensor/compare.ts';
import { DIVISION, exponential } from '../budgets.ts';

const UNIT = 2 ** -24;
/** A soft cap is off by this many roundings of its result: a division, an exponential of at most 1.25 near 0, a division. */
const SOFTCAP = 24;
/** A weight below this may be flushed to zero. */
const LEAST_WEIGHT = 2 ** -125;

/** Absolute error bounds, [B, Sq, Hq, Dh]; NaN where the result is, and Infinity where it is infinite. */
export const attentionError = piecewise(function* (input: AttentionInput): Pieces<Float64Array> {
  const error = new Float64Array(input.q.length);
  for (const head of heads(input)) {
    errorOfHead(error.subarray(head.query, head.query + input.headDim), head, input);
    yield;
  }
  return error;
});

function errorOfHead(error: Float64Array, head: Head, input: AttentionInput): void {
  const { v, headDim } = input;
  const { scores, first, step, sink } = head;
  const logits = new Float64Array(scores.length + Number(sink !== undefined));
  logits.set(scores);
  if (sink !== undefined) logits[scores.length] = sink;
  const { weights, moves } = weightErrors(logits, (j) =>
    j < scores.length ? scoreError(j, head, input) : 0,
  );
  const sums = gamma(4 * (logits.length + 1) + 14 + DIVISION);
  // Key by key, as values lie in memory; the sums of each element are in the order of keys all the same.
  const o = new Float64Array(headDim);
  for (let j = 0; j < scores.length; j++) addScaled(o, 0, f64At(weights, j), v, first + j * step, headDim);
  // A sink weighs the value 0.
  if (sink !== undefined)
    for (let d = 0; d < headDim; d++) error[d] = f64At(moves, scores.length) * Math.abs(f64At(o, d));
  for (let j = 0; j < scores.length; j++) {
    const [moved, rounded] = [f64At(moves, j), sums * f64At(weights, j) + LEAST_WEIGHT];
    for (let d = 0; d < headDim; d++) {
      const value = f64At(v, first + j * step + d);
      error[d] = f64At(error, d) + moved * Math.abs(value - f64At(o, d)) + rounded * Math.abs(value);
    }
  }
  // Infinity is right or wrong; no bound says by how much.
  for (let d = 0; d < headDim; d++) if (Math.abs(f64At(o, d)) === Infinity) error[d] = Infinity;
}

/** How far the score of key j may be off. */
function scoreError(j: number, { query, scores, first, step }: Head, input: AttentionInput): number {
  const { q, k, headDim, softcap = 0 } = input;
  const scale = input.scale ?? 1 / Math.sqrt(headDim);
  const key = first + j * step;
  const own = gamma(headDim + 4) * (Math.abs(scale) * absDot(q, query, k, key, headDim));
  if (softcap === 0) return own;
  const raw = scale * dot(q, query, k, key, headDim);
  const score = f64At(scores, j);
  const ofCap = SOFTCAP * UNIT * Math.abs(score);
  if (!Number.isFinite(raw)) return ofCap;
  const moved = [raw + own, raw - own].map((off) => Math.abs(capped(off, softcap) - score));
  return maxOf(moved) + ofCap;
}

/**
 * Softmax of the scores, and by how much each weight may be off: with an error e of each logarithm, a weight w lies between
 * w exp(-e) / sum of w exp(e) and w exp(e) / sum of w exp(-e), and is at most 1.
 */
function weightErrors(
  scores: Float64Array,
  ofScore: (j: number) => number,
): { weights: Float64Array; moves: Float64Array } {
  const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const logs = scores.map((score) => score - highest);
  const total = Math.log(logs.reduce((sum, log) => sum + Math.exp(log), 0));
  const rescales = 6 * Math.ceil(scores.length / 4);
  const errors = logs.map((log, j) => {
    if (log === -Infinity) return 0;
    return ofScore(j) + UNIT * (exponential(log) + rescales);
  });
  const least = logSum(logs, errors, -1) - total;
  const most = logSum(logs, errors, 1) - total;
  const weights = logs.map((log) => Math.exp(log - total));
  const moves = weights.map((weight, j) => {
    if (weight === 0 && f64At(logs, j) === -Infinity) return 0;
    const up = Math.min(1, Math.exp(f64At(logs, j) - total + f64At(errors, j) - least)) - weight;
    const down = -weight * Math.expm1(-f64At(errors, j) - most);
    return Math.max(up, down);
  });
  return { weights, moves };
}

/** Logarithm of the sum of exp(log + sign error). */
function logSum(logs: Float64Array, errors: Float64Array, sign: number): number {
  const highest = logs.reduce((a, log, j) => Math.max(a, log + sign * f64At(errors, j)), -Infinity);
  return (
    highest + Math.log(logs.reduce((a, log, j) => a + Math.exp(log + sign * f64At(errors, j) - highest), 0))
  );
}
