/** c = a b^T: M rows, N outputs, K inputs. One set of weights, exact in 4 bits, f16 and f32 alike. */
import { opByName, inputsOf } from '../../../src/ops/ops.ts';
import { castFloat, f32Tensor, type Tensor } from '../../../src/tensor/tensor.ts';
import { at } from '../../../src/core/math.ts';
import { evenTensor, once, transposed } from '../inputs.ts';
import { BLOCK, dequantised, int4Inputs, int4Weights, type Int4Weights } from '../contestants/int4.ts';
import type { OrtJob } from '../contestants/ort.ts';
import { moebius, ort, tfjs, type Entrant, type PeerRow, type Setup } from '../row.ts';
import { sampledRows, type Truth } from '../truth.ts';

const SHAPES = [
  [512, 1024, 1024],
  [2048, 2048, 1024],
  [512, 4096, 1024],
  [128, 1024, 1024],
] as const;

/** Activations in 8 bits: a share of 1 / 254 of the largest of a block, 4 deviations at the worst element. */
export const EIGHT_BIT = 5e-2;

export const gemmRows: readonly PeerRow[] = SHAPES.map(([m, n, k]) => ({
  group: 'gemm',
  name: `${m}x${n}x${k}`,
  flops: 2 * m * n * k,
  goals: [
    { fast: 'moebius f32', slow: 'ort MatMul', atLeast: 4 },
    { fast: 'moebius f32', slow: 'tfjs matMul', atLeast: 6 },
    { fast: 'moebius f16', slow: 'moebius f32', atLeast: 1 },
    { fast: 'moebius int4', slow: 'ort MatMulNBits', atLeast: 1.5 },
  ],
  setup: () => setup(m, n, k),
}));

function setup(m: number, n: number, k: number): Setup {
  const a = evenTensor(`gemm/a ${m}`, [m, k]);
  const quantised = once(() => int4Weights(`gemm/b ${n}`, [n, k], 1 / Math.sqrt(k)));
  const b = once(() => f32Tensor([n, k], dequantised(quantised(), 0, n * k)));
  const b_KN = once(() => transposed(b().data as Float32Array, n, k));
  const matMul = (): OrtJob => ({
    nodes: [{ op: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] }],
    inputs: [{ name: 'a', type: 'float32', shape: [m, k], data: a.data as Float32Array }],
    outputs: [{ name: 'c', type: 'float32', shape: [m, n] }],
    constants: [{ name: 'b', type: 'float32', shape: [k, n], data: b_KN() }],
  });
  const nBits = (): OrtJob => matMulNBits(a, quantised(), m);
  const ours = (name: string, weights: () => Record<string, Tensor>): Entrant =>
    moebius(name, () => ({ op: 'matmul', tensors: { a, ...weights() } }));
  return {
    entrants: [
      ours('moebius f32', () => ({ b: b() })),
      ours('moebius f16', () => ({ b: castFloat(b(), 'f16') })),
      ours('moebius int4', () => int4Inputs('b', quantised())),
      ort('ort MatMul', 'webgpu', matMul),
      ort('ort MatMulNBits', 'webgpu', nBits, EIGHT_BIT),
      tfjs('tfjs matMul', () => ({
        inputs: [
          [a.data as Float32Array, [m, k]],
          [b_KN(), [k, n]],
        ],
        compute: (tf, [x, w]) => (x && w ? { c: tf.matMul(x, w) } : {}),
      })),
      ort('cpu MatMul', 'cpu', matMul),
      ort('cpu MatMulNBits', 'cpu', nBits, EIGHT_BIT),
    ],
    truths: () => truths(a, b(), m, n, k),
  };
}

/** `accuracy_level` 4 lets it turn activations into 8 bits, its fastest way. */
function matMulNBits(a: Tensor, { shape, packed, scales }: Int4Weights, m: number): OrtJob {
  const [n, k] = [at(shape, 0), at(shape, 1)];
  return {
    nodes: [
      {
        ...{ op: 'MatMulNBits', microsoft: true, inputs: ['a', 'b', 'scales'], outputs: ['c'] },
        attributes: { K: k, N: n, bits: 4, block_size: BLOCK, accuracy_level: 4 },
      },
    ],
    inputs: [{ name: 'a', type: 'float32', shape: [m, k], data: a.data as Float32Array }],
    outputs: [{ name: 'c', type: 'float32', shape: [m, n] }],
    constants: [
      { name: 'b', type: 'uint8', shape: [n, k / BLOCK, BLOCK / 2], data: packed },
      { name: 'scales', type: 'float32', shape: [n, k / BLOCK], data: scales },
    ],
  };
}

function truths(a: Tensor, b: Tensor, m: number, n: number, k: number): Truth[] {
  const rows = sampledRows(m, 32);
  const data = new Float32Array(rows.length * k);
  rows.forEach((row, i) => data.set((a.data as Float32Array).subarray(row * k, (row + 1) * k), i * k));
  const op = opByName('matmul');
  const expected = op.reference(inputsOf(op, { a: f32Tensor([rows.length, k], data), b }));
  return [...expected].map(([output, { values, budget }]) => ({
    ...{ output, length: m * n, width: n, rows, values, budget },
  }));
}
