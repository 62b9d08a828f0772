/** Statements about rates: what a target asks of compute, memory and queues. */
import { amount, count, one, type Check } from '../check.ts';

const rate = amount('tokens/ms', 'tokens per GPU', [1e-3, 1e6]);
const peak = amount('TFLOP/s', 'dense peak of a GPU', [1, 1e5], 989);
const bandwidth = amount('GB/s', 'memory bandwidth of a GPU', [10, 1e5], 3350);
const gpus = count('GPUs');
const systemRate = amount('tokens/ms', 'tokens of the system', [1e-3, 1e9]);

/** Tokens of a day: DeepSeek's V3/R1 service of 2025-02-27, its inference system overview (open-infra-index, day 6). */
const DEEPSEEK_DAY = { input: 608e9, cached: 342e9, output: 168e9, gpus: 226.75 * 8 };

export const rateChecks: Readonly<Record<string, Check>> = {
  'system-rate': {
    tells: 'tokens of all GPUs',
    unit: 'tokens/ms',
    formula: 'rate per GPU * GPUs',
    inputs: { tokensPerMsPerGpu: rate, gpus },
    readings: ({ tokensPerMsPerGpu: r = 0, gpus: n = 1 }) => one(r * n),
  },
  'stage-tokens': {
    tells: 'tokens that pass the layers of a stage',
    unit: 'tokens/ms',
    formula: 'rate pp per GPU; rate pp tp per TP group',
    inputs: {
      tokensPerMsPerGpu: rate,
      pp: count('pipeline stages'),
      tp: count('ranks that split attention'),
    },
    readings: ({ tokensPerMsPerGpu: r = 0, pp = 1, tp = 1 }) => [
      { condition: 'per GPU', value: r * pp },
      { condition: 'per TP group', value: r * pp * tp },
    ],
  },
  'compute-rate': {
    tells: 'tokens that the arithmetic of a GPU allows',
    unit: 'tokens/ms',
    formula: 'peak MFU / (2 active parameters)',
    inputs: {
      activeParameters: amount('billion', 'parameters active for a token', [1e-4, 1e4]),
      peakTflops: peak,
      mfu: amount('%', 'share of the peak that is reached', [0.1, 100], 40),
    },
    readings: ({ activeParameters: P = 1, peakTflops: F = 0, mfu = 0 }) => one((F * (mfu / 100)) / (2 * P)),
    beside: ({ activeParameters: P = 1, peakTflops: F = 0, mfu = 0, tokensPerMsPerGpu: r = 0 }) => [
      { name: 'rate at the whole peak', value: F / (2 * P), unit: 'tokens/ms' },
      ...(r > 0
        ? [100, 60, 40, 25].map((share) => ({
            name: `active parameters allowed at ${r} tokens/ms and MFU ${share} %`,
            value: (F * share) / 100 / (2 * r),
            unit: 'billion',
          }))
        : []),
      { name: 'arithmetic reached', value: (F * mfu) / 100, unit: 'TFLOP/s' },
    ],
  },
  'compute-needed': {
    tells: 'arithmetic that a rate needs of each GPU',
    unit: 'TFLOP/s',
    formula: '2 active parameters * rate',
    inputs: {
      activeParameters: amount('billion', 'parameters active for a token', [1e-4, 1e4]),
      tokensPerMsPerGpu: rate,
    },
    readings: ({ activeParameters: P = 1, tokensPerMsPerGpu: r = 0 }) => one(2 * P * r),
  },
  'kv-read-limit': {
    tells: 'context whose keys and values can be read for every token',
    unit: 'positions',
    formula: 'bandwidth / rate / bytes a position',
    inputs: {
      tokensPerMsPerGpu: rate,
      bandwidthGBs: bandwidth,
      kvBytesPerToken: amount('B', 'bytes that a position keeps', [1, 1e9]),
    },
    readings: ({ tokensPerMsPerGpu: r = 1, bandwidthGBs: B = 0, kvBytesPerToken: b = 1 }) =>
      one((B * 1e6) / r / b),
    beside: ({ tokensPerMsPerGpu: r = 1, bandwidthGBs: B = 0 }) => [
      { name: 'bytes that can be read per token', value: B / r, unit: 'MB' },
    ],
  },
  'rows-to-balance': {
    tells: 'rows of an expert from which arithmetic, not memory, binds',
    unit: 'rows',
    formula: 'peak / bandwidth, 2 bytes a weight; tokens of a micro-batch of the EP group: rows E / k',
    inputs: {
      peakTflops: peak,
      bandwidthGBs: bandwidth,
      experts: count('routed experts'),
      topK: count('experts per token', 2),
    },
    readings: ({ peakTflops: F = 0, bandwidthGBs: B = 1, experts: E = 1, topK: k = 1 }) => {
      const rows = (F * 1e3) / B;
      return [
        { condition: 'rows of one expert', value: rows },
        { condition: 'tokens of an EP group and micro-batch', value: (rows * E) / k },
      ];
    },
  },
  'energy-per-token': {
    tells: 'energy of a token',
    unit: 'mJ',
    formula: 'power / rate',
    inputs: { powerWatts: amount('W', 'power of a GPU', [1, 1e4], 700), tokensPerMsPerGpu: rate },
    readings: ({ powerWatts: P = 0, tokensPerMsPerGpu: r = 1 }) => one(P / r),
  },
  'tokens-in-flight': {
    tells: "tokens in the system at once, by Little's law",
    unit: 'million tokens',
    formula: 'system rate * latency',
    inputs: {
      systemTokensPerMs: systemRate,
      latencySeconds: amount('s', 'time in the system', [1e-6, 1e6]),
      promptTokens: amount('tokens', 'length of a prompt', [1, 1e8], 2048),
    },
    readings: ({ systemTokensPerMs: r = 0, latencySeconds: s = 0 }) => one((r * s) / 1e3),
    beside: ({ systemTokensPerMs: r = 0, latencySeconds: s = 0, promptTokens: n = 1 }) => [
      { name: 'requests in service', value: (r * 1e3 * s) / n, unit: 'requests' },
    ],
  },
  'bytes-per-token-in-flight': {
    tells: 'memory that each token in the system can have',
    unit: 'kB',
    formula: 'GPUs * memory * share / (system rate * latency)',
    inputs: {
      systemTokensPerMs: systemRate,
      latencySeconds: amount('s', 'time in the system', [1e-6, 1e6]),
      gpus,
      memoryGB: amount('GB', 'memory of a GPU', [0.1, 1e5]),
      usedShare: amount('%', 'share of the memory that is used', [0.1, 100], 100),
    },
    readings: (x) => {
      const {
        systemTokensPerMs: r = 1,
        latencySeconds: s = 1,
        gpus: n = 1,
        memoryGB: M = 0,
        usedShare: u = 100,
      } = x;
      const whole = (M * n * 1e9) / (r * 1e3 * s) / 1e3;
      return [
        { condition: 'of the memory used', value: (whole * u) / 100 },
        { condition: 'of all memory', value: whole },
      ];
    },
  },
  'daily-tokens': {
    tells: "a day's tokens beside DeepSeek's V3/R1 service",
    unit: 'times as many',
    formula:
      'system rate * 86,400 s / 776e9 tokens (608e9 in, of which 342e9 from a cache, 168e9 out; 226.75 nodes of 8)',
    inputs: { systemTokensPerMs: systemRate, gpus },
    readings: ({ systemTokensPerMs: r = 0, gpus: n = 1 }) => {
      const day = r * 1e3 * 86400;
      const { input, cached, output } = DEEPSEEK_DAY;
      const perGpu = (tokens: number): number => day / n / (tokens / DEEPSEEK_DAY.gpus);
      return [
        { condition: 'in all', value: day / (input + output) },
        { condition: 'per GPU', value: perGpu(input + output) },
        { condition: 'per GPU, without cache hits', value: perGpu(input + output - cached) },
      ];
    },
    beside: ({ systemTokensPerMs: r = 0 }) => [
      { name: 'tokens of a day', value: (r * 86400) / 1e6, unit: 'billion' },
    ],
  },
};
