/** Multi-head latent attention with DeepSeek's widths, without its projections. */
import { MLA_DECODE_TABLE, MLA_PREFILL_TABLE } from '../data/mla.ts';
import type { MlaDecodeQuery, MlaPrefillQuery } from '../queries.ts';
import { idealUs, mlaDecodeWork, mlaPrefillWork } from '../work.ts';
import type { Family } from './family.ts';

export const MLA_PREFILL: Family<MlaPrefillQuery> = {
  name: 'mla-prefill',
  tables: [MLA_PREFILL_TABLE],
  group: ({ system }) => `${system} bfloat16`,
  block: ({ heads, batch }) => `${heads} ${batch}`,
  query: ({ heads, batch }, seq) => ({ op: 'mla-prefill', seq, heads: Number(heads), batch: Number(batch) }),
  terms: (query, hardware) => {
    const { compute, memory } = idealUs(mlaPrefillWork(query), hardware);
    return { plus: [1, memory], compute: [compute], memory: [memory] };
  },
  features: ({ batch, heads }) => [batch, heads].map(Math.log),
  axes: ['batch', 'heads'],
  size: ({ seq }) => Math.log(seq),
  along: 'seq',
  start: [12, 1, 1.8, 1],
  kriging: { scales: [4, 4], nugget: 0.01, between: 0.05 },
};

export const MLA_DECODE: Family<MlaDecodeQuery> = {
  name: 'mla-decode',
  tables: [MLA_DECODE_TABLE],
  group: ({ system, dtype }) => `${system} ${dtype}`,
  block: ({ heads, batch }) => `${heads} ${batch}`,
  query: ({ heads, batch, dtype = '' }, kv) => ({
    ...{ op: 'mla-decode', kv, dtype },
    ...{ heads: Number(heads), batch: Number(batch) },
  }),
  terms: (query, hardware) => {
    const { compute, memory } = idealUs(mlaDecodeWork(query), hardware);
    return { plus: [1, query.batch / 10], compute: [compute], memory: [memory] };
  },
  features: ({ batch, heads }) => [batch, heads].map(Math.log),
  axes: ['batch', 'heads'],
  size: ({ kv }) => Math.log(kv),
  along: 'kv',
  start: [12, 0.1, 2, 1.2],
  kriging: { scales: [4, 4], nugget: 0.01, between: 0.05 },
};
