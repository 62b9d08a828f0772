/** Statements about memory: shares, what is left, and which devices there are. */
import { amount, count, one, type Check } from '../check.ts';

const memory = amount('GB', 'memory of a GPU', [0.1, 1e5]);
const used = amount('%', 'share of the memory that is used', [0.1, 100]);
const gpus = count('GPUs');

/** Memory of parts that were sold or installed, GB. The 64 GB are those of MareNostrum 5 (H100) and Leonardo (A100). */
const PARTS: readonly (readonly [name: string, gigabytes: number])[] = [
  ['A100', 40],
  ['A100 64G (Leonardo)', 64],
  ['A100', 80],
  ['H100 64G (MareNostrum 5)', 64],
  ['H100', 80],
  ['H100 NVL', 94],
  ['H20', 96],
  ['H200', 141],
  ['H800', 80],
  ['B200', 180],
  ['GB200', 186],
  ['B300', 270],
  ['MI300X', 192],
];

export const memoryChecks: Readonly<Record<string, Check>> = {
  'memory-used': {
    tells: 'memory that a share comes to',
    unit: 'GB',
    formula: 'share * memory, of one GPU and of all',
    inputs: { memoryGB: memory, usedShare: used, gpus },
    readings: ({ memoryGB: M = 0, usedShare: u = 0 }) => one((M * u) / 100),
    beside: ({ memoryGB: M = 0, usedShare: u = 0, gpus: n = 1 }) => [
      { name: 'used on all GPUs', value: (M * u * n) / 1e5, unit: 'TB' },
      { name: 'free on a GPU', value: M * (1 - u / 100), unit: 'GB' },
      { name: 'free on all GPUs', value: (M * (1 - u / 100) * n) / 1e3, unit: 'TB' },
    ],
  },
  'memory-share': {
    tells: "share of a GPU's memory that weights and cache take",
    unit: '%',
    formula: '(resident parameters * bytes + cached tokens * bytes a token) / memory',
    inputs: {
      memoryGB: memory,
      parametersPerGpu: amount('billion', 'parameters that a GPU holds', [1e-6, 1e4]),
      bytesPerWeight: amount('B', 'bytes of a weight', [0.25, 8], 2),
      cachedTokens: amount('tokens', 'positions whose keys and values a GPU keeps', [0, 1e9]),
      kvBytesPerToken: amount('B', 'bytes that a position keeps on a GPU', [0, 1e9]),
    },
    readings: (x) => {
      const { memoryGB: M = 1, parametersPerGpu: P = 0, bytesPerWeight: b = 2, cachedTokens: t = 0 } = x;
      return one((100 * (P * b + (t * (x.kvBytesPerToken ?? 0)) / 1e9)) / M);
    },
  },
  'growth-room': {
    tells: 'how much larger what lies in memory can become',
    unit: 'times',
    formula: '100 / used share',
    inputs: { usedShare: used, memoryGB: { ...memory, assumed: 64 }, gpus: { ...gpus, assumed: 1 } },
    readings: ({ usedShare: u = 100 }) => one(100 / u),
    beside: ({ usedShare: u = 100, memoryGB: M = 0, gpus: n = 1 }) => [
      { name: 'free on a GPU', value: M * (1 - u / 100), unit: 'GB' },
      { name: 'free on all GPUs', value: (M * (1 - u / 100) * n) / 1e3, unit: 'TB' },
      { name: 'GPUs that hold what is used', value: Math.ceil((n * u) / 100), unit: 'GPUs' },
    ],
  },
  'gpu-with-memory': {
    tells: 'kinds of GPU that have this much memory',
    unit: 'kinds',
    formula: 'a table of parts; H100 64 GB HBM2 are in MareNostrum 5, A100 64 GB in Leonardo',
    inputs: { memoryGB: memory },
    readings: ({ memoryGB: M = 0 }) => one(PARTS.filter(([, gigabytes]) => gigabytes === M).length),
    beside: ({ memoryGB: M = 0 }) =>
      PARTS.filter(([, gigabytes]) => gigabytes === M).map(([name]) => ({ name, value: M, unit: 'GB' })),
  },
  'kv-bytes': {
    tells: 'bytes that a position keeps in all layers',
    unit: 'B',
    formula: '2 L KV heads head size bytes',
    inputs: {
      layers: count('layers of the model'),
      kvHeads: count('KV heads'),
      headDim: count('size of a head'),
      bytesPerElement: amount('B', 'bytes of an element of the cache', [0.5, 8], 2),
    },
    readings: ({ layers: L = 0, kvHeads: h = 0, headDim: d = 0, bytesPerElement: b = 2 }) =>
      one(2 * L * h * d * b),
  },
};
