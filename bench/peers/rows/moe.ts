/**
 * The routed layer with its router: T tokens, D width, E experts of width F, the best K, SwiGLU. The same 4-bit
 * weights for all: as they are for QMoE and our int4, widened for our f32.
 */
import { at, range } from '../../../src/core/math.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { f32Tensor, type Tensor, toF64 } from '../../../src/tensor/tensor.ts';
import { gateTopK } from '../../../src/reference/gate.ts';
import { matmul } from '../../../src/reference/matmul.ts';
import { evenTensor, once, transposed } from '../inputs.ts';
import {
  BLOCK,
  dequantised,
  int4Inputs,
  int4Weights,
  interleavedRows,
  type Int4Weights,
} from '../contestants/int4.ts';
import type { OrtJob } from '../contestants/ort.ts';
import { moebius, ort, type Entrant, type PeerRow, type Setup } from '../row.ts';
import { sampledRows, type Truth } from '../truth.ts';

const [D, F, E, K] = [1024, 2048, 16, 2];

const GOALS = [
  { tokens: 512, atLeast: 4 },
  { tokens: 128, atLeast: 6 },
  { tokens: 16, atLeast: 8 },
  { tokens: 1, atLeast: 3 },
] as const;

export const moeRows: readonly PeerRow[] = GOALS.map(({ tokens, atLeast }) => ({
  group: 'moe',
  name: `T=${tokens}`,
  flops: 2 * tokens * (K * 3 * D * F + D * E),
  goals: ['moebius int4', 'moebius f32'].map((fast) => ({ fast, slow: 'ort QMoE', atLeast })),
  dispatches: tokens === 1 ? 6 : 10,
  setup: () => setup(tokens),
}));

/** Eight-bit activations, through two products and a product of both halves. */
const EIGHT_BIT_TWICE = 1e-1;

interface Weights {
  readonly w1: Int4Weights;
  readonly w3: Int4Weights;
  readonly w2: Int4Weights;
}

/** The experts of all rows are the same. */
const weights = once((): Weights => ({
  w1: int4Weights('moe/w1', [E, F, D], 1 / Math.sqrt(D)),
  w3: int4Weights('moe/w3', [E, F, D], 1 / Math.sqrt(D)),
  w2: int4Weights('moe/w2', [E, D, F], 1 / Math.sqrt(F)),
}));

function setup(tokens: number): Setup {
  const x = evenTensor(`moe/x ${tokens}`, [tokens, D]);
  const gate = evenTensor('moe/gate', [E, D], 2 / Math.sqrt(D));
  const logits = logitsOf(x, gate);
  const job = (): OrtJob => qMoe(x, gate);
  const ours = (name: string, experts: () => Record<string, Tensor>): Entrant =>
    moebius(name, () => ({ op: 'moe', tensors: { x, gate, ...experts() }, attrs: { k: K } }));
  return {
    entrants: [
      ours('moebius int4', int4Experts),
      ours('moebius f32', f32Experts),
      ort('ort QMoE', 'webgpu', job, EIGHT_BIT_TWICE),
      ort('cpu QMoE', 'cpu', job, EIGHT_BIT_TWICE),
    ],
    truths: () => [truth(tokens, x, logits)],
  };
}

function logitsOf(x: Tensor, gate: Tensor): Tensor {
  const m = at(x.shape, 0);
  return f32Tensor([m, E], Float32Array.from(matmul(toF64(x), toF64(gate), { m, n: E, k: D })));
}

function int4Experts(): Record<string, Tensor> {
  const { w1, w3, w2 } = weights();
  return { ...int4Inputs('w1', w1), ...int4Inputs('w3', w3), ...int4Inputs('w2', w2) };
}

function f32Experts(): Record<string, Tensor> {
  const wide = (w: Int4Weights): Tensor => f32Tensor(w.shape, dequantised(w, 0, E * D * F));
  const { w1, w3, w2 } = weights();
  return { w1: wide(w1), w3: wide(w3), w2: wide(w2) };
}

/** Gate and up rows of an expert alternate in fc1; alpha 1 and beta 0 make gpt-oss's unit the plain one. */
function qMoe(x: Tensor, gate: Tensor): OrtJob {
  const { w1, w3, w2 } = weights();
  const fc1 = interleavedRows(w1, w3);
  const tokens = at(x.shape, 0);
  return {
    nodes: [
      { op: 'MatMul', inputs: ['x', 'gate'], outputs: ['logits'] },
      {
        ...{ op: 'QMoE', microsoft: true, outputs: ['y'] },
        inputs: ['x', 'logits', 'fc1', 'fc1_scales', '', 'fc2', 'fc2_scales'],
        attributes: {
          ...{ k: K, activation_type: 'swiglu', swiglu_fusion: 1, normalize_routing_weights: 1 },
          ...{ expert_weight_bits: 4, block_size: BLOCK },
          ...{ activation_alpha: { float: 1 }, activation_beta: { float: 0 }, swiglu_limit: { float: 1e30 } },
        },
      },
    ],
    inputs: [{ name: 'x', type: 'float32', shape: [tokens, D], data: x.data as Float32Array }],
    outputs: [{ name: 'y', type: 'float32', shape: [tokens, D] }],
    constants: [
      { name: 'gate', type: 'float32', shape: [D, E], data: transposed(gate.data as Float32Array, E, D) },
      { name: 'fc1', type: 'uint8', shape: [E, 2 * F, D / 2], data: fc1.packed },
      { name: 'fc1_scales', type: 'float32', shape: [E, 2 * F, D / BLOCK], data: fc1.scales },
      { name: 'fc2', type: 'uint8', shape: [E, D, F / 2], data: w2.packed },
      { name: 'fc2_scales', type: 'float32', shape: [E, D, F / BLOCK], data: w2.scales },
    ],
  };
}

/** Token by token with the chosen experts alone: scores over the chosen are the same once they are renormalised. */
function truth(tokens: number, x: Tensor, logits: Tensor): Truth {
  const op = opByName('moe');
  const rows = sampledRows(tokens, 6);
  const { ids_TK } = gateTopK({
    ...{ logits_TE: toF64(logits), numExperts: E, topK: K },
    ...{ score: 'softmax', renormalize: true },
  });
  const values = new Float64Array(rows.length * D);
  const budget = new Float64Array(rows.length * D);
  rows.forEach((row, i) => {
    const experts = range(K).map((j) => at(ids_TK, row * K + j));
    const expected = op.reference(inputsOf(op, chosen(x, logits, row, experts), { k: K })).get('y');
    if (expected === undefined || !('perElement' in expected.budget)) throw new Error('moe has no reference');
    values.set(expected.values, i * D);
    budget.set(expected.budget.perElement, i * D);
  });
  return { output: 'y', length: tokens * D, width: D, rows, values, budget: { perElement: budget } };
}

function chosen(x: Tensor, logits: Tensor, row: number, experts: readonly number[]): Record<string, Tensor> {
  const w = weights();
  const pick = (from: Int4Weights, shape: readonly number[]): Tensor => {
    const data = new Float32Array(experts.length * D * F);
    experts.forEach((e, i) => data.set(dequantised(from, e * D * F, D * F), i * D * F));
    return f32Tensor([experts.length, ...shape], data);
  };
  return {
    x: f32Tensor([1, D], (x.data as Float32Array).slice(row * D, (row + 1) * D)),
    logits: f32Tensor(
      [1, experts.length],
      experts.map((e) => at(logits.data, row * E + e)),
    ),
    ...{ w1: pick(w.w1, [F, D]), w3: pick(w.w3, [F, D]), w2: pick(w.w2, [D, F]) },
  };
}
