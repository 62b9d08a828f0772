/** Statements about what travels: tensor-parallel sums, rows between experts, activations between stages. */
import { amount, count, one, type Check } from '../check.ts';

const ep = count('expert-parallel ranks of a stage');
const tp = count('ranks that split attention');
const topK = count('experts per token', 2);
const rate = amount('tokens/ms', 'tokens per GPU', [1e-3, 1e6]);
const gpuFacts = {
  tokensPerMsPerGpu: rate,
  modelDim: count('width H of the model'),
  layers: count('layers of the model'),
  pp: count('pipeline stages'),
  tp,
  bytesPerElement: amount('B', 'bytes of an activation', [0.5, 8], 2),
};

/** 1 - C(local, k) / C(all, k): the chance that some of k distinct experts is not among the local ones. */
function someElsewhere(local: number, all: number, k: number): number {
  let none = 1;
  for (let i = 0; i < k; i++) none *= Math.max(0, local - i) / (all - i);
  return 1 - none;
}

export const communicationChecks: Readonly<Record<string, Check>> = {
  'tp-communication': {
    tells: 'how much less a smaller TP group exchanges, by algorithm',
    unit: '%',
    formula:
      'ring bytes 2(n-1)/n, ring steps 2(n-1), halving-doubling 2 log2 n steps, one-shot n-1 copies, recursive doubling log2 n copies',
    inputs: { tp, otherTp: count('ranks of the group compared with') },
    readings: ({ tp: n = 1, otherTp: o = 1 }) => {
      const less = (cost: (ranks: number) => number): number => 100 * (1 - cost(n) / cost(o));
      return [
        { condition: 'ring, bytes', value: less((x) => (x - 1) / x) },
        { condition: 'ring, steps', value: less((x) => x - 1) },
        { condition: 'halving-doubling, steps', value: less(Math.log2) },
        { condition: 'one-shot, copies', value: less((x) => x - 1) },
        { condition: 'recursive doubling, bytes and steps', value: less(Math.log2) },
      ];
    },
  },
  'rows-leaving': {
    tells: 'share of routed rows that leave their GPU, experts chosen uniformly',
    unit: '%',
    formula:
      '1 - 1/ep with sequence split over TP; 1 - tp/ep where both ranks of a TP group hold the row; tokens: 1 - P(all k local)',
    inputs: { ep, tp: { ...tp, assumed: 1 }, topK },
    readings: ({ ep: n = 1, tp: t = 1, topK: k = 2 }) => [
      { condition: 'rows, TP by reduce-scatter', value: 100 * (1 - 1 / n) },
      ...(t > 1
        ? [{ condition: 'rows, TP by all-reduce: the group holds each row', value: 100 * (1 - t / n) }]
        : []),
      { condition: 'tokens, not rows', value: 100 * someElsewhere(1, n, k) },
    ],
  },
  'rows-leaving-node': {
    tells: 'what crosses nodes, experts chosen uniformly',
    unit: '%',
    formula: 'rows 1 - 1/nodes; tokens 1 - C(E/nodes, k)/C(E, k)',
    inputs: { experts: count('routed experts'), nodes: count('nodes of an EP group'), topK },
    readings: ({ experts = 1, nodes = 1, topK: k = 2 }) => [
      { condition: 'rows', value: 100 * (1 - 1 / nodes) },
      { condition: 'tokens', value: 100 * someElsewhere(experts / nodes, experts, k) },
    ],
    beside: ({ experts = 1, nodes = 1, topK: k = 2 }) => {
      const rows = k * (1 - 1 / nodes);
      const copies = (nodes - 1) * someElsewhere(experts - experts / nodes, experts, k);
      return [{ name: 'saved by one copy per node', value: 100 * (1 - copies / rows), unit: '%' }];
    },
  },
  'dispatch-rate': {
    tells: 'bytes that a GPU sends to experts elsewhere',
    unit: 'GB/s',
    formula: 'rate pp (L/pp) k (1 - 1/ep) H bytes: a GPU has rate pp tokens/ms in each of its L/pp layers',
    inputs: { ...gpuFacts, ep, topK },
    readings: (x) => {
      const {
        tokensPerMsPerGpu: r = 0,
        modelDim: H = 0,
        layers: L = 0,
        ep: n = 1,
        topK: k = 2,
        bytesPerElement: b = 2,
      } = x;
      return one((r * 1e3 * L * k * (1 - 1 / n) * H * b) / 1e9);
    },
  },
  'tp-rate': {
    tells: 'bytes that a GPU exchanges to sum the parts of attention',
    unit: 'GB/s',
    formula: 'rate tp L 2(tp-1)/tp H bytes for one sum a layer (attention); twice that with a sharded MLP',
    inputs: gpuFacts,
    readings: (x) => {
      const {
        tokensPerMsPerGpu: r = 0,
        modelDim: H = 0,
        layers: L = 0,
        tp: t = 1,
        bytesPerElement: b = 2,
      } = x;
      const once = (r * 1e3 * t * L * ((2 * (t - 1)) / t) * H * b) / 1e9;
      return [
        { condition: 'one sum a layer: experts are not cut', value: once },
        { condition: 'two sums a layer: a dense or shared MLP is cut', value: 2 * once },
      ];
    },
  },
  'stage-rate': {
    tells: 'bytes that a GPU hands to the next stage',
    unit: 'GB/s',
    formula: 'rate pp H bytes, split over TP; times tp if every member sends the whole row',
    inputs: gpuFacts,
    readings: (x) => {
      const { tokensPerMsPerGpu: r = 0, modelDim: H = 0, pp = 1, tp: t = 1, bytesPerElement: b = 2 } = x;
      const split = (r * 1e3 * pp * H * b) / 1e9;
      return [
        { condition: 'rows split over TP', value: split },
        ...(t > 1 ? [{ condition: 'every TP member sends all rows', value: t * split }] : []),
      ];
    },
  },
};
