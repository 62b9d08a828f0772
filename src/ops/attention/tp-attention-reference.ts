/** The attention block on one device in float64, and the error that its chain of roundings allows. */
import type { Pieces } from '../../core/async/pieces.ts';
import { at } from '../../core/math.ts';
import { attention } from '../../reference/attention.ts';
import { absDot, dot, softmax } from '../../reference/f64.ts';
import { matmul, matmulMagnitude } from '../../reference/matmul.ts';
import { rope } from '../../reference/rope.ts';
import { toF64 } from '../../tensor/tensor.ts';
import { budgetOf, DIVISION, EXACT, exponential } from '../budgets.ts';
import type { Expected, OpInputs } from '../op.ts';
import type { BlockSize } from './tp-attention-ranks.ts';
import { outputDtype, tensorOf } from '../op-buffers.ts';

/** A rounding of the table, a product and a sum. */
const ROTATION = 3;

export function* referenceBlock(inputs: OpInputs, size: BlockSize): Pieces<ReadonlyMap<string, Expected>> {
  const { batch, length, modelDim, numHeads, numKvHeads, headDim, theta, tp } = size;
  const m = batch * length;
  const shape = tensorOf(inputs, 'x').shape;
  if (m === 0) return new Map([['y', { values: new Float64Array(0), shape, budget: EXACT }]]);
  const values = (name: string): Float64Array => toF64(tensorOf(inputs, name));
  const x = values('x');
  const positions = Float64Array.from({ length: m }, (_, i) => i % length);
  const project = (name: string, heads: number, product: typeof matmul): Pieces<Float64Array> =>
    product.pieces(x, values(name), { m, n: heads * headDim, k: modelDim });
  const turn = (rows: Float64Array, heads: number): Float64Array =>
    theta === 0 ? rows : rope({ x: rows, numHeads: heads, headDim, positions, theta, style: 'halves' });
  const projectionError = function* (name: string, heads: number): Pieces<Float64Array> {
    return (yield* project(name, heads, matmulMagnitude)).map((sum) => sum * modelDim);
  };
  const turnError = function* (name: string, heads: number): Pieces<Float64Array> {
    if (theta === 0) return yield* projectionError(name, heads);
    const sums = yield* project(name, heads, matmulMagnitude);
    return pairSums(
      sums.map((sum) => sum * (modelDim + ROTATION)),
      headDim,
    );
  };

  const input = {
    q: turn(yield* project('wq', numHeads, matmul), numHeads),
    k: turn(yield* project('wk', numKvHeads, matmul), numKvHeads),
    v: yield* project('wv', numKvHeads, matmul),
    ...{ batch, numQueries: length, numKeys: length, numHeads, numKvHeads, headDim },
    causal: true,
  };
  const o = yield* attention.pieces(input);
  const oError = yield* attentionError({
    ...{ ...input, o, length },
    qError: yield* turnError('wq', numHeads),
    kError: yield* turnError('wk', numKvHeads),
    vError: yield* projectionError('wv', numKvHeads),
  });

  const wo = values('wo');
  const product = { m, n: modelDim, k: numHeads * headDim };
  const y = yield* matmul.pieces(o, wo, product);
  const passedOn = yield* matmulMagnitude.pieces(oError, wo, product);
  const own = yield* matmulMagnitude.pieces(o, wo, product);
  const total = passedOn.map((error, i) => error + at(own, i) * (product.k + tp));
  return new Map([['y', { values: y, shape, budget: budgetOf(total, 1, outputDtype(inputs), y) }]]);
}

/** Each element of a pair takes part of the other's error: the sum bounds both. */
function pairSums(errors: Float64Array, headDim: number): Float64Array {
  const half = headDim / 2;
  return errors.map((own, i) => {
    const start = i - (i % headDim);
    return own + at(errors, start + ((i - start + half) % headDim));
  });
}

interface ErrorInput {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
  readonly o: Float64Array;
  readonly qError: Float64Array;
  readonly kError: Float64Array;
  readonly vError: Float64Array;
  readonly length: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
}

/**
 * Error of o = sum p v in multiples of u, first order, when q, k and v have errors of their own. A score is off by
 * e_j = scale (sum dq |k| + |q| dk + (Dh + 2) |q||k|) + exp's own; that moves o by sum p_j e_j (v_j - o), since the
 * weights keep their sum. Beside it come the error of v, and a product, a sum and a rescale per key.
 */
function* attentionError(t: ErrorInput): Pieces<Float64Array> {
  const { numHeads, numKvHeads, headDim, length } = t;
  const scale = 1 / Math.sqrt(headDim);
  const error = new Float64Array(t.o.length);
  const keyAt = (key: number, h: number): number =>
    (key * numKvHeads + Math.floor(h / (numHeads / numKvHeads))) * headDim;
  for (let place = 0; place < t.o.length; place += headDim) {
    const h = (place / headDim) % numHeads;
    const row = Math.floor(place / (headDim * numHeads));
    const first = row - (row % length);
    const keys = Float64Array.from({ length: row - first + 1 }, (_, j) => keyAt(first + j, h));
    const scores = keys.map((key) => scale * dot(t.q, place, t.k, key, headDim));
    const highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = softmax(scores, scores.length);
    keys.forEach((key, j) => {
      const ofScore =
        absDot(t.qError, place, t.k, key, headDim) +
        absDot(t.q, place, t.kError, key, headDim) +
        (headDim + 2) * absDot(t.q, place, t.k, key, headDim);
      const moved = scale * ofScore + exponential(highest - at(scores, j));
      for (let d = 0; d < headDim; d++) {
        const v = at(t.v, key + d);
        const ofValue = at(t.vError, key + d) + Math.abs(v) * (4 * keys.length + DIVISION);
        const share = at(weights, j) * (ofValue + Math.abs(v - at(t.o, place + d)) * moved);
        error[place + d] = at(error, place + d) + share;
      }
    });
    yield;
  }
  return error;
}
