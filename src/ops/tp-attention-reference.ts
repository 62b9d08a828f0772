/** The attention block on one device in float64, and the error that its chain of roundings allows. */
import { attention } from '../reference/attention.ts';
import { matmul, matmulMagnitude } from '../reference/matmul.ts';
import { rope } from '../reference/rope.ts';
import { toF64 } from '../tensor/tensor.ts';
import { attentionRoundings } from './attention.ts';
import { budgetOf } from './budgets.ts';
import type { Expected, OpInputs } from './op.ts';
import type { BlockSize } from './tp-attention-ranks.ts';
import { outputDtype, tensorOf } from './workspace.ts';

/** Two products and a sum of the rotation, and two roundings of its table. */
const ROTATION = 6;

export function referenceBlock(inputs: OpInputs, size: BlockSize): ReadonlyMap<string, Expected> {
  const { batch, length, modelDim, numHeads, numKvHeads, headDim, theta, tp } = size;
  const m = batch * length;
  const shape = tensorOf(inputs, 'x').shape;
  if (m === 0) return new Map([['y', { values: new Float64Array(0), shape, budget: { atol: 0, rtol: 0 } }]]);
  const values = (name: string): Float64Array => toF64(tensorOf(inputs, name));
  const x = values('x');
  const positions = Float64Array.from({ length: m }, (_, i) => i % length);
  const projected = (name: string, heads: number, product: typeof matmul): Float64Array =>
    product(x, values(name), { m, n: heads * headDim, k: modelDim });
  const turn = (rows: Float64Array, heads: number): Float64Array =>
    theta === 0 ? rows : rope({ x: rows, numHeads: heads, headDim, positions, theta, style: 'halves' });
  const input = {
    q: turn(projected('wq', numHeads, matmul), numHeads),
    k: turn(projected('wk', numKvHeads, matmul), numKvHeads),
    v: projected('wv', numKvHeads, matmul),
    batch,
    numQueries: length,
    numKeys: length,
    numHeads,
    numKvHeads,
    headDim,
    causal: true,
  };
  const wo = values('wo');
  const product = { m, n: modelDim, k: numHeads * headDim };
  const y = matmul(attention(input), wo, product);

  // What the errors of q, k and v scale with: sums of magnitudes, and of a rotated pair both together.
  const size1 = (name: string, heads: number): Float64Array => projected(name, heads, matmulMagnitude);
  const sizes = {
    ...input,
    qSize: theta === 0 ? size1('wq', numHeads) : pairSums(size1('wq', numHeads), headDim),
    kSize: theta === 0 ? size1('wk', numKvHeads) : pairSums(size1('wk', numKvHeads), headDim),
    vSize: size1('wv', numKvHeads),
  };
  const magnitude = matmulMagnitude(attentionErrorSize(sizes), wo, product);
  const attended = attentionRoundings({ ...input, scale: 0 });
  const roundings = 2 * (modelDim + ROTATION) + attended + numHeads * headDim + tp;
  const budget = budgetOf(magnitude, roundings, outputDtype(inputs));
  return new Map([['y', { values: y, shape, budget }]]);
}

/** Each element of a pair takes part of the other's error: |a| + |b| bounds both. */
function pairSums(sizes: Float64Array, headDim: number): Float64Array {
  const half = headDim / 2;
  return sizes.map((own, i) => {
    const start = i - (i % headDim);
    return own + (sizes[start + ((i - start + half) % headDim)] ?? 0);
  });
}

interface ErrorSizeInput {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly qSize: Float64Array;
  readonly kSize: Float64Array;
  readonly vSize: Float64Array;
  readonly batch: number;
  readonly numQueries: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
}

/**
 * As `attentionMagnitude`, for q, k and v that carry errors themselves: sum p |v|~ (1 + 2 max scale sum |q|~|k|~), the
 * weights p from the true scores. Through the reference: the weighted mean of |v|~ is an attention on |v|~, and the
 * largest product is found head by head.
 */
function attentionErrorSize(input: ErrorSizeInput): Float64Array {
  const { q, k, qSize, kSize, vSize, batch, numQueries, numHeads, numKvHeads, headDim } = input;
  const sizes = attention({
    ...{ q, k, v: vSize, batch, numQueries, numKeys: numQueries, numHeads, numKvHeads, headDim },
    causal: true,
  });
  const group = numHeads / numKvHeads;
  for (let row = 0; row < batch * numQueries; row++) {
    const sequence = row - (row % numQueries);
    for (let h = 0; h < numHeads; h++) {
      const at = (row * numHeads + h) * headDim;
      let largest = 0;
      for (let key = sequence; key <= row; key++) {
        const from = (key * numKvHeads + Math.floor(h / group)) * headDim;
        let product = 0;
        for (let d = 0; d < headDim; d++) product += (qSize[at + d] ?? 0) * (kSize[from + d] ?? 0);
        largest = Math.max(largest, product);
      }
      const factor = 1 + (2 * largest) / Math.sqrt(headDim);
      for (let d = 0; d < headDim; d++) sizes[at + d] = (sizes[at + d] ?? 0) * factor;
    }
  }
  return sizes;
}
