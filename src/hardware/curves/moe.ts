/** Fused MoE layers of one rank, the hottest: both grouped products and the activation, without communication. */
import { MOE_TABLE } from '../data/moe.ts';
import { MOE_ACTIVE_TABLE, MOE_HOPPER_TABLE, MOE_WIDE_TABLE } from '../data/moe-more.ts';
import { dtypeNamed } from '../dtypes.ts';
import type { MoeQuery, Skew } from '../queries.ts';
import { routingOf } from '../routing-names.ts';
import { hottestRank } from '../skew.ts';
import { idealUs } from '../work.ts';
import type { Family } from './family.ts';

export const MOE: Family<MoeQuery> = {
  name: 'moe',
  tables: [MOE_TABLE, MOE_HOPPER_TABLE, MOE_ACTIVE_TABLE, MOE_WIDE_TABLE],
  group: ({ system, lib, dtype }) => `${system} ${dtype} ${lib}`,
  block: ({ hidden, inter, experts, tp, ep }) => `${hidden} ${inter} ${experts} ${tp} ${ep}`,
  query: ({ hidden, inter, experts, topk, tp, ep, dist = '', dtype = '', active, perGpu }, knot) => ({
    ...{ op: 'moe', dtype, hidden: Number(hidden), inter: Number(inter), experts: Number(experts) },
    ...{ topk: Number(topk), tp: Number(tp), ep: Number(ep), skew: routingOf(dist, 'balanced').skew },
    tokens: perGpu === undefined ? knot : knot * Number(ep),
    ...(active === undefined ? {} : { rows: knot * Number(topk), activeExperts: Number(active) }),
  }),
  // A launch, a product per active expert, tokens in and out; multiplications and activations, beside reading weights.
  terms: (query, hardware) => {
    const { tokens, hidden, inter, tp = 1, ep = 1 } = query;
    const dtype = dtypeNamed(query.dtype);
    const { rows, activeExperts } = hottestRank(query);
    const width = inter / tp;
    const matrix = 3 * hidden * width;
    const read = (bytes: number): number => idealUs({ flop: 0, bytes, dtype }, hardware).memory;
    const reach = Math.min(tokens, query.rows === undefined ? tokens : query.rows * ep);
    return {
      plus: [1, activeExperts / 20, read(2 * reach * hidden)],
      compute: [
        idealUs({ flop: 2 * rows * matrix, bytes: 0, dtype }, hardware).compute,
        read(2 * rows * (2 * hidden + 3 * width)),
      ],
      memory: [read((activeExperts * matrix * dtype.weightBits) / 8)],
    };
  },
  features: (query) => {
    const { hidden, inter, tp = 1, ep = 1, topk, experts } = query;
    const local = (query.slots ?? experts) / ep;
    const active = query.rows === undefined ? local : (query.activeExperts ?? local);
    // Engines choose other kernels for very many experts, wherever these lie: those for products of 4 bits end sharply.
    const beyond = experts > MOST_FP4_EXPERTS && dtypeNamed(query.dtype).multiplier === 'fp4' ? APART : 0;
    const logs = [hidden, inter / tp, active, topk / ep].map(Math.log);
    return [...logs, skewness(query.skew), Math.log(experts) + beyond];
  },
  axes: ['hidden', 'width of an expert', 'experts of a rank', 'topk / ep', 'skew', 'experts'],
  size: ({ tokens, topk, experts }) => Math.log((tokens * topk) / experts),
  along: 'rows per expert',
  start: [25, 0.5, 1, 1.3, 1, 1.2],
  kriging: { scales: [3, 3, 2, 3, 6, 1], nugget: 0.05, between: 0.05 },
};

/** Experts that TensorRT-LLM's own products of 4 bits take: 384 run at half their speed, where 8 bits lose nothing. */
const MOST_FP4_EXPERTS = 256;
/** What puts shapes on either side so far apart that they tell little of each other. A guess. */
const APART = 1.5;

/** How uneven, in the unit of the power law's exponent: only an order that alike routings are near in. */
function skewness(skew: Skew = { kind: 'balanced' }): number {
  if (skew.kind === 'balanced') return 0;
  return skew.kind === 'uniform' ? 0.3 : skew.alpha;
}
