/** The router's choice from its logits: softmax, then the k best. T tokens, E experts, K chosen. */
import { f32Tensor } from '../../../src/tensor/tensor.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { evenNumbers } from '../inputs.ts';
import type { OrtJob } from '../contestants/ort.ts';
import { moebius, ort, tfjs, type PeerRow, type Setup } from '../row.ts';
import { wholeTruth } from '../truth.ts';

const TOKENS = 4096;
const GOALS = [
  { experts: 16, atLeast: 5 },
  { experts: 64, atLeast: 10 },
  { experts: 256, atLeast: 10 },
] as const;

export const gatingRows: readonly PeerRow[] = GOALS.flatMap(({ experts, atLeast }) =>
  [2, 8].map((k) => ({
    group: 'gating',
    name: `T=${TOKENS} E=${experts} k=${k}`,
    goals: [{ fast: 'moebius', slow: 'ort Softmax+TopK', atLeast }],
    setup: () => setup(experts, k),
  })),
);

function setup(experts: number, k: number): Setup {
  const values = evenNumbers(`gating ${experts}`, TOKENS * experts, 2);
  const logits = f32Tensor([TOKENS, experts], values);
  const inputs = { op: 'gate-topk', tensors: { logits }, attrs: { k } };
  const softmaxTopK = (): OrtJob => ({
    nodes: [
      { op: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: -1 } },
      { op: 'TopK', inputs: ['probabilities', 'k'], outputs: ['scores', 'ids'], attributes: { axis: -1 } },
    ],
    inputs: [{ name: 'logits', type: 'float32', shape: [TOKENS, experts], data: values }],
    outputs: [
      { name: 'scores', type: 'float32', shape: [TOKENS, k] },
      { name: 'ids', type: 'int64', shape: [TOKENS, k] },
    ],
    constants: [{ name: 'k', type: 'int64', shape: [1], data: BigInt64Array.of(BigInt(k)) }],
  });
  return {
    entrants: [
      moebius('moebius', () => inputs),
      ort('ort Softmax+TopK', 'webgpu', softmaxTopK),
      tfjs('tfjs softmax+topk', () => ({
        inputs: [[values, [TOKENS, experts]]],
        compute: (tf, [x]) => {
          if (x === undefined) return {};
          const probabilities = tf.softmax(x);
          const { values: scores, indices: ids } = tf.topk(probabilities, k);
          probabilities.dispose();
          return { scores, ids };
        },
      })),
      ort('cpu Softmax+TopK', 'cpu', softmaxTopK),
    ],
    truths: () => {
      const op = opByName('gate-topk');
      return wholeTruth(op.reference(inputsOf(op, inputs.tensors, inputs.attrs)));
    },
  };
}
