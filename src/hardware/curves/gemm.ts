/** Products of matrices: NVIDIA's cuBLAS, DeepGEMM and CUTLASS as engines call them. */
import { GEMM_TABLE } from '../data/gemm.ts';
import { GEMM_HOPPER_TABLE } from '../data/gemm-hopper.ts';
import type { GemmQuery } from '../queries.ts';
import { gemmWork, idealUs } from '../work.ts';
import type { Family } from './family.ts';

export const GEMM: Family<GemmQuery> = {
  name: 'gemm',
  tables: [GEMM_TABLE, GEMM_HOPPER_TABLE],
  group: ({ system, dtype }) => `${system} ${dtype}`,
  block: ({ n, k }) => `${n} ${k}`,
  query: ({ dtype = '', n, k }, m) => ({ op: 'gemm', m, n: Number(n), k: Number(k), dtype }),
  // A launch, a loop over k that a tile cannot cut short, and the roofline.
  terms: (query, hardware) => {
    const { compute, memory } = idealUs(gemmWork(query), hardware);
    return { plus: [1, query.k / 1000], compute: [compute], memory: [memory] };
  },
  features: ({ n, k }) => [Math.log(n), Math.log(k)],
  axes: ['n', 'k'],
  size: ({ m }) => Math.log(m),
  along: 'm',
  start: [5, 0.3, 1.4, 1.2],
  kriging: { scales: [3, 3], nugget: 0.01, between: 0 },
};
