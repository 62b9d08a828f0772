/** Statements about pipelines: T = (m + p - 1) cycles for m micro-batches of p stages, forward only. */
import { amount, count, one, type Check } from '../check.ts';

const stages = count('pipeline stages');
const otherStages = count('stages of the layout compared with');
const microBatches = count('micro-batches of a step', 4);

/** Time of m micro-batches of a depth cut into p stages, in passes of one micro-batch through all layers. */
export const pipelineTime = (m: number, p: number): number => (m + p - 1) / p;

/** (p - 1) / (m + p - 1): the share of a step in which a stage waits. */
export const bubbleShare = (m: number, p: number): number => (p - 1) / (m + p - 1);

export const pipelineChecks: Readonly<Record<string, Check>> = {
  'pipeline-speedup': {
    tells: 'how much shorter the first token takes than with fewer stages',
    unit: '%',
    formula: '1 - [(m+p-1)/p] / [(m+q-1)/q] for p stages against q; for 4 against 2: 1 - (m+3)/(2(m+1))',
    inputs: { stages, otherStages, microBatches: { ...microBatches, range: [1, 4096] } },
    readings: ({ stages: p = 1, otherStages: q = 1, microBatches: m = 1 }) =>
      one(100 * (1 - pipelineTime(m, p) / pipelineTime(m, q))),
  },
  'pipeline-bubble': {
    tells: 'share of a step in which a stage waits',
    unit: '%',
    formula: '(p-1)/(m+p-1)',
    inputs: { stages, microBatches: { ...microBatches, range: [1, 4096] } },
    readings: ({ stages: p = 1, microBatches: m = 1 }) => one(100 * bubbleShare(m, p)),
    beside: ({ stages: p = 1, microBatches: m = 1 }) => [
      { name: 'cycles of a step, m + p - 1', value: m + p - 1, unit: 'cycles' },
      { name: 'of them at work', value: m, unit: 'cycles' },
    ],
  },
  'bubble-difference': {
    tells: 'bubbles beside those of another number of stages: negative is fewer',
    unit: 'percentage points',
    formula: '(p-1)/(m+p-1) - (q-1)/(n+q-1)',
    inputs: {
      stages,
      otherStages,
      microBatches: { ...microBatches, range: [1, 4096] },
      otherMicroBatches: count('micro-batches of the other layout', 4),
    },
    readings: ({ stages: p = 1, otherStages: q = 1, microBatches: m = 1, otherMicroBatches: n = 1 }) =>
      one(100 * (bubbleShare(m, p) - bubbleShare(n, q))),
    beside: ({ stages: p = 1, otherStages: q = 1, microBatches: m = 1, otherMicroBatches: n = 1 }) => [
      { name: `bubble of ${p} stages`, value: 100 * bubbleShare(m, p), unit: '%' },
      { name: `bubble of ${q} stages`, value: 100 * bubbleShare(n, q), unit: '%' },
      ...(q > 1
        ? [{ name: 'micro-batches at which both are equal', value: ((p - 1) / (q - 1)) * n, unit: '' }]
        : []),
    ],
  },
  'chunked-prefill-pipeline': {
    tells: 'time of a long prompt in chunks over p stages beside one stage',
    unit: '%',
    formula: '(m+p-1)/(p m) - 1 with m = prompt / chunk',
    inputs: {
      stages,
      promptTokens: amount('tokens', 'length of the prompt', [1, 1e8]),
      chunkTokens: amount('tokens', 'length of a chunk', [1, 1e8]),
    },
    readings: ({ stages: p = 1, promptTokens = 1, chunkTokens = 1 }) => {
      const m = promptTokens / chunkTokens;
      return one(100 * ((m + p - 1) / (p * m) - 1));
    },
  },
  reduction: {
    tells: 'one duration beside another, in every way that people say it',
    unit: '%',
    formula: '(before-after)/before; before/after - 1; (target-after)/target',
    inputs: {
      before: amount('s', 'the longer duration', [1e-6, 1e9]),
      after: amount('s', 'the shorter duration', [1e-6, 1e9]),
      target: amount('s', 'the limit, if any', [1e-6, 1e9], 0),
    },
    readings: ({ before = 1, after = 1, target = 0 }) => [
      { condition: 'less time than before', value: (100 * (before - after)) / before },
      { condition: 'said as "faster" (before / after)', value: 100 * (before / after - 1) },
      ...(target > 0
        ? [{ condition: 'said of the margin to the target', value: (100 * (target - after)) / target }]
        : []),
    ],
    beside: ({ before = 0 }) => [{ name: '40 % less than before', value: 0.6 * before, unit: 's' }],
  },
  scaling: {
    tells: 'scaling efficiency of more GPUs',
    unit: '%',
    formula: '100 (before / after) / (GPUs after / GPUs before)',
    inputs: {
      before: amount('s', 'duration on fewer GPUs', [1e-6, 1e9]),
      after: amount('s', 'duration on more GPUs', [1e-6, 1e9]),
      times: amount('', 'times as many GPUs', [1, 1e6]),
    },
    readings: ({ before = 1, after = 1, times = 1 }) => one((100 * before) / after / times),
    beside: ({ before = 1, after = 1 }) => [{ name: 'speed-up', value: before / after, unit: 'times' }],
  },
};
