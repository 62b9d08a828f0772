/**
 * How far attention in f32 may be from float64, per element of o. Every score has an error of its own, and those move the
 * weights: by a share of themselves while they are small, and never by more than there is weight. So a key that is far
 * below the highest stays without weight however large the scores are, and the bound does not grow with them.
 */
import { at, maxOf } from '../../core/math.ts';
import { type AttentionInput, capped, forEachHead } from '../../reference/attention.ts';
import { absDot, dot } from '../../reference/f64.ts';
import { gamma } from '../../tensor/compare.ts';
import { DIVISION, exponential } from '../budgets.ts';

const UNIT = 2 ** -24;
/** A soft cap is off by this many roundings of its result: a division, an exponential of at most 1.25 near 0, a division. */
const SOFTCAP = 24;
/** A weight below this may be flushed to zero. */
const LEAST_WEIGHT = 2 ** -125;

/** Absolute error bounds, [B, Sq, Hq, Dh]; NaN where the result is, and Infinity where it is infinite. */
export function attentionError(input: AttentionInput): Float64Array {
  const { q, k, v, headDim, softcap = 0 } = input;
  const scale = input.scale ?? 1 / Math.sqrt(headDim);
  const error = new Float64Array(q.length);
  forEachHead(input, (query, scores, keyAt, sink) => {
    const ofScore = (j: number): number => {
      const size = Math.abs(scale) * absDot(q, query, k, keyAt(j), headDim);
      const own = gamma(headDim + 4) * size;
      if (softcap === 0) return own;
      const raw = scale * dot(q, query, k, keyAt(j), headDim);
      const score = at(scores, j);
      const ofCap = SOFTCAP * UNIT * Math.abs(score);
      if (!Number.isFinite(raw)) return ofCap;
      const moved = [raw + own, raw - own].map((off) => Math.abs(capped(off, softcap) - score));
      return maxOf(moved) + ofCap;
    };
    const values = new Float64Array(scores.length + Number(sink !== undefined));
    values.set(scores);
    if (sink !== undefined) values[scores.length] = sink;
    const { weights, moves } = weightErrors(values, (j) => (j < scores.length ? ofScore(j) : 0));
    const sums = gamma(4 * (values.length + 1) + 14 + DIVISION);
    for (let d = 0; d < headDim; d++) {
      let o = 0;
      for (let j = 0; j < scores.length; j++) o += at(weights, j) * at(v, keyAt(j) + d);
      // A sink weighs the value 0.
      let bound = sink === undefined ? 0 : at(moves, scores.length) * Math.abs(o);
      for (let j = 0; j < scores.length; j++) {
        const value = at(v, keyAt(j) + d);
        bound += at(moves, j) * Math.abs(value - o);
        bound += (sums * at(weights, j) + LEAST_WEIGHT) * Math.abs(value);
      }
      // Infinity is right or wrong; no bound says by how much.
      error[query + d] = Math.abs(o) === Infinity ? Infinity : bound;
    }
  });
  return error;
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
    if (weight === 0 && at(logs, j) === -Infinity) return 0;
    const up = Math.min(1, Math.exp(at(logs, j) - total + at(errors, j) - least)) - weight;
    const down = -weight * Math.expm1(-at(errors, j) - most);
    return Math.max(up, down);
  });
  return { weights, moves };
}

/** Logarithm of the sum of exp(log + sign error). */
function logSum(logs: Float64Array, errors: Float64Array, sign: number): number {
  const highest = logs.reduce((a, log, j) => Math.max(a, log + sign * at(errors, j)), -Infinity);
  return (
    highest + Math.log(logs.reduce((a, log, j) => a + Math.exp(log + sign * at(errors, j) - highest), 0))
  );
}
