/** Cases of `paged-attention`. */
import { pagedAttention } from '../../ops/attention/paged-attention.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { opCases } from '../kernel-case.ts';
import type { Maker } from '../draw/maker.ts';
import { drawPages } from '../draw/draw-pages.ts';

interface Sizes {
  readonly batch?: number;
  readonly queries: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly dim?: number;
  readonly numPages?: number;
  readonly pageSize: number;
  readonly perSequence: number;
}

function paged(make: Maker, sizes: Sizes): Record<string, Tensor> {
  const { batch = 1, queries, heads = 2, kvHeads = heads, dim = 16, pageSize, perSequence } = sizes;
  const { numPages = batch * perSequence + 1 } = sizes;
  return {
    q: make.normal([batch, queries, heads, dim]),
    k_pages: make.normal([numPages, pageSize, kvHeads, dim]),
    v_pages: make.normal([numPages, pageSize, kvHeads, dim]),
    ...drawPages(make, { batch, queries, numPages, pageSize, perSequence }),
  };
}

export const pagedAttentionCases = opCases(pagedAttention, {
  'pages of one key': {
    tensors: (make) => paged(make, { batch: 2, queries: 1, pageSize: 1, perSequence: 9 }),
  },
  'one page': { tensors: (make) => paged(make, { queries: 3, pageSize: 16, perSequence: 1 }) },
  'no sequences': { tensors: (make) => paged(make, { batch: 0, queries: 1, pageSize: 4, perSequence: 3 }) },
  'decode in pages of 16': {
    quick: true,
    tensors: (make) =>
      paged(make, { batch: 5, queries: 1, heads: 8, kvHeads: 2, pageSize: 16, perSequence: 9 }),
  },
  'many pages': {
    tensors: (make) =>
      paged(make, { batch: 2, queries: 2, heads: 4, kvHeads: 1, pageSize: 16, perSequence: 40 }),
  },
  'prompts, primes': {
    quick: true,
    tensors: (make) => paged(make, { batch: 3, queries: 37, heads: 5, dim: 7, pageSize: 13, perSequence: 7 }),
  },
  'prompts in pages of 32, head 64': {
    tensors: (make) => paged(make, { batch: 2, queries: 50, dim: 64, pageSize: 32, perSequence: 4 }),
  },
  'window, soft cap and sinks': {
    attrs: { window: 21, softcap: 30 },
    tensors: (make) => ({
      ...paged(make, { batch: 3, queries: 4, heads: 4, kvHeads: 2, pageSize: 8, perSequence: 11 }),
      sinks: make.normal([4], 2),
    }),
  },
  'keys and values in f16': {
    quick: true,
    tensors: (make) => {
      const sizes = { batch: 2, queries: 2, heads: 4, kvHeads: 2, dim: 20, pageSize: 16, perSequence: 6 };
      const { k_pages: k, v_pages: v, ...others } = paged(make, sizes);
      return { ...others, ...(k && { k_pages: make.half(k) }), ...(v && { v_pages: make.half(v) }) };
    },
  },
});
