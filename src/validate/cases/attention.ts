/** Cases of `attention` and `tp-attention`. */
import { attention } from '../../ops/attention/attention.ts';
import { tpAttention } from '../../ops/attention/tp-attention.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { opCases } from '../kernel-case.ts';
import type { Maker } from '../draw/maker.ts';

interface Sizes {
  readonly batch?: number;
  readonly queries: number;
  readonly keys?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly dim?: number;
}

function qkv(
  make: Maker,
  sizes: Sizes,
  of = (shape: readonly number[]): Tensor => make.normal(shape),
): Record<'q' | 'k' | 'v', Tensor> {
  const { batch = 1, queries, keys = queries, heads = 2, kvHeads = heads, dim = 16 } = sizes;
  return {
    q: of([batch, queries, heads, dim]),
    k: of([batch, keys, kvHeads, dim]),
    v: of([batch, keys, kvHeads, dim]),
  };
}

/** Values around 2: a mean over many keys around 0 vanishes beside the error that its sum may have. */
function offCentre(make: Maker, tensors: Record<'q' | 'k' | 'v', Tensor>): Record<'q' | 'k' | 'v', Tensor> {
  return { ...tensors, v: make.filled(tensors.v.shape, () => 2 + make.random.normal()) };
}

export const attentionCases = opCases(attention, {
  'one position': { quick: true, tensors: (make) => qkv(make, { queries: 1, heads: 1, dim: 8 }) },
  'no sequences': { tensors: (make) => qkv(make, { batch: 0, queries: 3 }) },
  primes: { quick: true, tensors: (make) => qkv(make, { batch: 3, queries: 37, heads: 5, dim: 7 }) },
  'grouped queries': { tensors: (make) => qkv(make, { batch: 2, queries: 33, heads: 8, kvHeads: 2 }) },
  'one key/value head': { tensors: (make) => qkv(make, { queries: 19, heads: 6, kvHeads: 1 }) },
  'decode with a cache': {
    quick: true,
    tensors: (make) => qkv(make, { batch: 4, queries: 1, keys: 77, heads: 4, kvHeads: 2 }),
  },
  'last of many positions': { tensors: (make) => qkv(make, { batch: 2, queries: 5, keys: 130 }) },
  'not causal': {
    attrs: { causal: false },
    tensors: (make) => qkv(make, { batch: 2, queries: 9, keys: 21 }),
  },
  'scale given': { attrs: { scale: 0.7 }, tensors: (make) => qkv(make, { queries: 20 }) },
  'head size 1': { tensors: (make) => qkv(make, { queries: 9, dim: 1 }) },
  'head size 128': { tensors: (make) => qkv(make, { queries: 12, heads: 1, dim: 128 }) },
  'sequence 1,000': { tensors: (make) => qkv(make, { queries: 1000, heads: 1 }) },
  'equal keys': {
    tensors: (make) => ({ ...qkv(make, { queries: 40 }), k: make.filled([1, 40, 2, 16], () => 0.5) }),
  },
  'sharp scores': {
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 30 });
      return { q: make.filled(q.shape, (i) => 8 * (q.data[i] ?? 0)), k, v };
    },
  },
  'scores that grow': {
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 5, keys: 81, heads: 2 });
      const later = (i: number): number => Math.floor(i / 32) / 8;
      return {
        q: make.filled(q.shape, () => 1 + 0.1 * make.random.normal()),
        k: make.filled(k.shape, (i) => later(i) + 0.1 * make.random.normal()),
        v: make.filled(v.shape, (i) => (v.data[i] ?? 0) * 2 ** later(i)),
      };
    },
  },
  outliers: { tensors: (make) => ({ ...qkv(make, { queries: 25 }), v: make.outliers([1, 25, 2, 16]) }) },
  'sliding window': {
    quick: true,
    attrs: { window: 7 },
    tensors: (make) => qkv(make, { batch: 2, queries: 45, keys: 90, heads: 4, kvHeads: 2 }),
  },
  'window of one key': { attrs: { window: 1 }, tensors: (make) => qkv(make, { queries: 21 }) },
  'window while decoding': {
    attrs: { window: 50 },
    tensors: (make) => qkv(make, { batch: 2, queries: 1, keys: 131 }),
  },
  'many keys while decoding': {
    quick: true,
    tensors: (make) => offCentre(make, qkv(make, { queries: 1, keys: 653, heads: 4, kvHeads: 2 })),
  },
  'a few queries, many keys, a window': {
    attrs: { window: 300 },
    tensors: (make) => qkv(make, { batch: 2, queries: 3, keys: 517, heads: 2, dim: 72 }),
  },
  'sinks and soft cap while decoding': {
    attrs: { softcap: 20 },
    tensors: (make) => ({
      ...offCentre(make, qkv(make, { batch: 2, queries: 2, keys: 389, heads: 4, kvHeads: 1 })),
      sinks: make.normal([4], 3),
    }),
  },
  'soft cap': {
    quick: true,
    attrs: { softcap: 2 },
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 35 });
      return { q: make.filled(q.shape, (i) => 4 * (q.data[i] ?? 0)), k, v };
    },
  },
  'soft cap, and queries without an end': {
    attrs: { softcap: 2 },
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 35 });
      // Their scores are the cap, of either sign.
      return { q: make.filled(q.shape, (i) => (i % 331 === 7 ? Infinity : 4 * (q.data[i] ?? 0))), k, v };
    },
  },
  sinks: {
    quick: true,
    tensors: (make) => ({
      ...qkv(make, { batch: 2, queries: 35, heads: 6, kvHeads: 2 }),
      sinks: make.normal([6], 3),
    }),
  },
  'parts that only some queries see': {
    tensors: (make) => offCentre(make, qkv(make, { queries: 2, keys: 257, heads: 2, kvHeads: 1 })),
  },
  'the highest scores in the eighth of eleven parts': {
    tensors: (make) => {
      const { q, k, v } = offCentre(make, qkv(make, { queries: 1, keys: 1300 }));
      const isHigh = (i: number): boolean => Math.floor(i / 32 / 128) === 7;
      return {
        q: make.filled(q.shape, () => 4 + 0.1 * make.random.normal()),
        k: make.filled(k.shape, (i) => (isHigh(i) ? 6 : 0) + 0.1 * make.random.normal()),
        v,
      };
    },
  },
  'heads in slabs, one of 8': {
    tensors: (make) => qkv(make, { queries: 18, keys: 35, heads: 2, dim: 72 }),
  },
  'a last value that is infinite': {
    quick: true,
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 21, keys: 43 });
      // The last query alone sees the key; but for the last column of the last head all stays finite.
      return { q, k, v: make.filled(v.shape, (i) => (i === 42 * 32 + 31 ? Infinity : (v.data[i] ?? 0))) };
    },
  },
  'a cap far above the scores': {
    attrs: { softcap: 1e6 },
    tensors: (make) => qkv(make, { queries: 9, keys: 40 }),
  },
  'sinks of -Inf': {
    tensors: (make) => ({
      ...qkv(make, { queries: 9, keys: 40, heads: 3 }),
      sinks: make.filled([3], (h) => (h === 1 ? 2 : -Infinity)),
    }),
  },
  'sinks, window and soft cap': {
    attrs: { window: 40, softcap: 30 },
    tensors: (make) => ({ ...qkv(make, { queries: 70, heads: 4, kvHeads: 1 }), sinks: make.normal([4]) }),
  },
  'keys and values in f16': {
    quick: true,
    tensors: (make) => {
      const { q, k, v } = qkv(make, { batch: 2, queries: 2, keys: 301, heads: 4, kvHeads: 2, dim: 40 });
      return { q, k: make.half(k), v: make.half(v) };
    },
  },
  'an odd number of halves': {
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 13, heads: 1, dim: 5 });
      return { q, k: make.half(k), v: make.half(v) };
    },
  },
  'keys in f16, values in f32': {
    tensors: (make) => {
      const { q, k, v } = qkv(make, { queries: 13 });
      return { q, k: make.half(k), v };
    },
  },
  'f16 everywhere': {
    tensors: (make) => qkv(make, { queries: 25 }, (shape) => make.half(make.normal(shape))),
  },
});

interface BlockSizes {
  readonly batch?: number;
  readonly length: number;
  readonly dim?: number;
  readonly heads: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
}

function block(make: Maker, sizes: BlockSizes): Record<string, Tensor> {
  const { batch = 1, length, dim = 24, heads, kvHeads = heads, headDim = 8 } = sizes;
  return {
    x: make.normal([batch, length, dim]),
    wq: make.weight([heads * headDim, dim]),
    wk: make.weight([kvHeads * headDim, dim]),
    wv: make.weight([kvHeads * headDim, dim]),
    wo: make.weight([dim, heads * headDim]),
  };
}

export const tpAttentionCases = opCases(tpAttention, {
  'one rank': { attrs: { heads: 4 }, tensors: (make) => block(make, { batch: 2, length: 9, heads: 4 }) },
  'two ranks': {
    quick: true,
    attrs: { heads: 4, tp: 2 },
    tensors: (make) => block(make, { batch: 2, length: 9, heads: 4 }),
  },
  'a rank per head': { attrs: { heads: 4, tp: 4 }, tensors: (make) => block(make, { length: 17, heads: 4 }) },
  'grouped queries': {
    attrs: { heads: 8, kv_heads: 4, tp: 2 },
    tensors: (make) => block(make, { length: 9, heads: 8, kvHeads: 4 }),
  },
  'fewer key/value heads than ranks': {
    quick: true,
    attrs: { heads: 8, kv_heads: 2, tp: 4 },
    tensors: (make) => block(make, { length: 9, heads: 8, kvHeads: 2 }),
  },
  'groups across ranks': {
    attrs: { heads: 12, kv_heads: 4, tp: 3 },
    tensors: (make) => block(make, { length: 9, heads: 12, kvHeads: 4 }),
  },
  'no rotary positions, odd heads': {
    attrs: { heads: 2, tp: 2, rope_theta: 0 },
    tensors: (make) => block(make, { length: 9, heads: 2, headDim: 5, dim: 7 }),
  },
  'one position': { attrs: { heads: 4, tp: 2 }, tensors: (make) => block(make, { length: 1, heads: 4 }) },
  'no positions': { attrs: { heads: 4, tp: 2 }, tensors: (make) => block(make, { length: 0, heads: 4 }) },
  'f16 weights': {
    attrs: { heads: 4, tp: 2, rope_theta: 500000 },
    tensors: (make) => {
      const { x, ...weights } = block(make, { length: 9, heads: 4 });
      return {
        ...(x && { x }),
        ...Object.fromEntries(Object.entries(weights).map(([n, t]) => [n, make.half(t)])),
      };
    },
  },
});
