/** Expert-parallel exchanges: DeepEP's two kinds of kernels, and those of TensorRT-LLM within one NVLink domain. */
import {
  EXCHANGE_LOW_LATENCY_TABLE,
  EXCHANGE_NORMAL_TABLE,
  EXCHANGE_NVLINK_TABLE,
} from '../data/exchange.ts';
import { exchangeTerms, rowBits } from '../plain.ts';
import type { ExchangeQuery } from '../queries.ts';
import type { Family } from './family.ts';

/** SMs that an exchange in normal mode takes where nobody says: DeepEP's own default. */
const DEFAULT_SMS = 20;

export const EXCHANGE: Family<ExchangeQuery> = {
  name: 'exchange',
  tables: [EXCHANGE_LOW_LATENCY_TABLE, EXCHANGE_NORMAL_TABLE, EXCHANGE_NVLINK_TABLE],
  group: ({ system, op, mode }) => `${system} ${op} ${mode}`,
  block: ({ hidden, experts, topk, nodes, ranks }) => `${hidden} ${experts} ${topk} ${nodes} ${ranks}`,
  query: ({ op, mode, hidden, experts, topk, nodes, ranks, sms, dtype }, tokens) => ({
    ...{ op: op === 'ep-dispatch' ? 'ep-dispatch' : 'ep-combine', mode: mode ?? '', tokens },
    ...{ hidden: Number(hidden), experts: Number(experts), topk: Number(topk) },
    ...{ nodes: Number(nodes), ranks: Number(ranks) },
    ...(sms === undefined ? {} : { sms: Number(sms) }),
    ...(dtype === undefined ? {} : { dtype }),
  }),
  terms: (query, hardware) => {
    const { nearUs, farUs, nodes } = exchangeTerms(query, hardware);
    const sms = query.sms ?? DEFAULT_SMS;
    return {
      plus: [1, nodes > 1 ? 1 : 0, Math.log2(query.ranks) / 8],
      compute: [nearUs, ((nearUs + farUs) * DEFAULT_SMS) / sms],
      memory: [farUs],
    };
  },
  features: (query) => {
    const { hidden, experts, topk, ranks, nodes = 1, sms = DEFAULT_SMS } = query;
    return [hidden, experts, topk, ranks, nodes, sms, rowBits(query)].map(Math.log);
  },
  axes: ['hidden', 'experts', 'topk', 'ranks', 'nodes', 'sms', 'dtype'],
  size: ({ tokens }) => Math.log(tokens),
  along: 'tokens',
  start: [20, 20, 5, 1.3, 0.2, 1.1],
  kriging: { scales: [3, 8, 3, 4, 3, 2, 3], nugget: 0.02, between: 0 },
};
