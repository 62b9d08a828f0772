/** Collectives of NCCL within one node, and the all-reduces that engines have of their own. */
import { NCCL_TABLE } from '../data/nccl.ts';
import { ALL_REDUCE_TABLE } from '../data/all-reduce.ts';
import { collectiveTerms } from '../plain.ts';
import { COLLECTIVES, type Collective, type CollectiveQuery } from '../queries.ts';
import type { Family } from './family.ts';

export const COLLECTIVE: Family<CollectiveQuery> = {
  name: 'collective',
  tables: [NCCL_TABLE, ALL_REDUCE_TABLE],
  group: ({ system, op, lib }) => `${system} ${op} ${lib}`,
  block: ({ ranks }) => String(ranks),
  query: ({ op, ranks }, bytes) => {
    const known = COLLECTIVES.find((name) => name === op);
    return known === undefined
      ? undefined
      : { op: known satisfies Collective, bytes, ranks: Number(ranks), nodes: 1 };
  },
  terms: (query, hardware) => {
    const { steps, nearUs, farUs } = collectiveTerms(query, hardware);
    return { plus: [1, steps], compute: [nearUs], memory: [farUs] };
  },
  features: ({ ranks }) => [Math.log(ranks)],
  axes: ['ranks'],
  size: ({ bytes }) => Math.log(bytes),
  along: 'bytes',
  start: [8, 2, 1.3, 1.3],
  kriging: { scales: [4], nugget: 0.01, between: 0.01 },
};
