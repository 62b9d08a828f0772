/** Statements about who is where: readings of the tuple, heads, experts, GPUs. */
import { readingsOf } from '../../../layout/readings.ts';
import { amount, count, one, type Check } from '../check.ts';

const axes = {
  ep: count('expert-parallel ranks of a stage'),
  pp: count('pipeline stages'),
  tp: count('ranks that split attention'),
  dp: count('replicas'),
};

export const layoutChecks: Readonly<Record<string, Check>> = {
  'world-size': {
    tells: 'GPUs of the tuple, under every consistent reading',
    unit: 'GPUs',
    formula: 'folded ep*pp*dp; orthogonal and expert-tensor ep*pp*tp*dp; attention-dp tp*dp*pp',
    inputs: axes,
    readings: ({ ep = 1, pp = 1, tp = 1, dp = 1 }) =>
      readingsOf({ ep, pp, tp, dp })
        .filter(({ consistent }) => consistent)
        .map(({ title, worldSize }) => ({ condition: title, value: worldSize })),
  },
  'experts-per-gpu': {
    tells: 'routed experts of one layer on a GPU',
    unit: 'experts',
    formula: 'E / ep per layer; times L / pp layers over the depth',
    inputs: {
      experts: count('routed experts of a layer'),
      ep: axes.ep,
      pp: { ...axes.pp, assumed: 1 },
      dp: { ...axes.dp, assumed: 1 },
    },
    readings: ({ experts = 1, ep = 1 }) => one(experts / ep),
    beside: ({ pp = 1, dp = 1, layers = 0 }) => [
      { name: 'resident experts of a GPU per layer of the model', value: 1 / pp, unit: 'L' },
      ...(layers > 0 ? [{ name: 'resident experts of a GPU', value: layers / pp, unit: 'experts' }] : []),
      { name: 'GPUs that hold each expert', value: dp, unit: 'GPUs' },
    ],
  },
  'heads-per-gpu': {
    tells: 'attention heads of a GPU under tensor parallelism',
    unit: 'heads',
    formula: 'heads / tp, and KV heads / tp at least 1 or they are copied',
    inputs: { heads: count('query heads'), tp: axes.tp },
    readings: ({ heads = 1, tp = 1 }) => one(heads / tp),
  },
  'head-size': {
    tells: 'size of a head, which must be whole, for a model as wide as given',
    unit: 'elements',
    formula: 'H / heads; TP also wants at least tp KV heads',
    inputs: { modelDim: count('width H of the model'), heads: count('query heads') },
    readings: ({ modelDim = 1, heads = 1 }) => one(modelDim / heads),
  },
  'kv-heads-per-gpu': {
    tells: 'KV heads of a GPU; below 1 they are copied to several',
    unit: 'heads',
    formula: 'KV heads / tp',
    inputs: { kvHeads: count('KV heads'), tp: axes.tp },
    readings: ({ kvHeads = 1, tp = 1 }) => one(kvHeads / tp),
  },
  'share-of-gpus': {
    tells: 'a degree as a share of all GPUs',
    unit: '%',
    formula: '100 degree / GPUs',
    inputs: { degree: count('the degree'), gpus: count('GPUs') },
    readings: ({ degree = 1, gpus = 1 }) => one((100 * degree) / gpus),
  },
  'gpus-needed': {
    tells: 'GPUs that the bytes of the model need',
    unit: 'GPUs',
    formula: 'ceil(used share * GPUs): the rest is free',
    inputs: { usedShare: amount('%', 'share of the memory that is used', [0.1, 100]), gpus: count('GPUs') },
    readings: ({ usedShare = 0, gpus = 1 }) => one(Math.ceil((usedShare / 100) * gpus)),
  },
};
