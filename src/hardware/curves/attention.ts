/** Attention of one rank's heads: prompts and single tokens, by FlashAttention's and TensorRT-LLM's kernels. */
import { DECODE_TABLE, PREFILL_TABLE } from '../data/attention.ts';
import { DECODE_HOPPER_TABLE, PREFILL_HOPPER_TABLE } from '../data/attention-hopper.ts';
import type { DecodeQuery, PrefillQuery } from '../queries.ts';
import { decodeWork, idealUs, prefillWork } from '../work.ts';
import type { Family } from './family.ts';

const heads = (key: Readonly<Record<string, string>>) => ({
  heads: Number(key.heads),
  kvHeads: Number(key.kv_heads),
  headDim: Number(key.head_dim),
  batch: Number(key.batch),
});

export const PREFILL: Family<PrefillQuery> = {
  name: 'attention-prefill',
  tables: [PREFILL_TABLE, PREFILL_HOPPER_TABLE],
  group: ({ system, lib }) => `${system} bfloat16 ${lib}`,
  block: (key) => `${key.heads} ${key.kv_heads} ${key.head_dim}`,
  query: (key, seq) => ({ op: 'attention-prefill', seq, ...heads(key) }),
  terms: (query, hardware) => {
    const { compute, memory } = idealUs(prefillWork(query), hardware);
    return { plus: [1, memory], compute: [compute], memory: [memory] };
  },
  features: ({ batch, heads, kvHeads, headDim }) => [batch, heads, kvHeads, headDim].map(Math.log),
  axes: ['batch', 'heads', 'kvHeads', 'headDim'],
  size: ({ seq }) => Math.log(seq),
  along: 'seq',
  start: [10, 1, 1.8, 1],
  kriging: { scales: [4, 4, 8, 4], nugget: 0.01, between: 0.05 },
};

export const DECODE: Family<DecodeQuery> = {
  name: 'attention-decode',
  tables: [DECODE_TABLE, DECODE_HOPPER_TABLE],
  group: ({ system, lib, kv_dtype }) => `${system} ${kv_dtype ?? 'bfloat16'} ${lib}`,
  block: (key) => `${key.heads} ${key.kv_heads} ${key.head_dim}`,
  query: (key, kv) => ({ op: 'attention-decode', kv, ...heads(key), dtype: key.kv_dtype ?? 'bfloat16' }),
  terms: (query, hardware) => {
    const { compute, memory } = idealUs(decodeWork(query), hardware);
    return { plus: [1, query.batch / 10, compute], compute: [compute], memory: [memory] };
  },
  features: ({ batch, heads, kvHeads, headDim }) => [batch, heads, kvHeads, headDim].map(Math.log),
  axes: ['batch', 'heads', 'kvHeads', 'headDim'],
  size: ({ kv }) => Math.log(kv),
  along: 'kv',
  start: [10, 0.1, 0.1, 3, 1.2],
  kriging: { scales: [4, 4, 8, 4], nugget: 0.01, between: 0.05 },
};
