/** Sizes of the projections that a rank multiplies. */
import type { ModelFacts } from '../models/facts.ts';

/** [n, k] of the products of one layer's attention on a rank. */
export function attentionProducts({ attention: a, modelDim: D }: ModelFacts, tp: number): [number, number][] {
  if (a.kind === 'heads') {
    const kv = Math.max(1, a.kvHeads / tp);
    return [
      [(a.heads / tp + 2 * kv) * a.headDim, D],
      [D, (a.heads / tp) * a.headDim],
    ];
  }
  const heads = a.heads / tp;
  const query = heads * (a.nopeDim + a.ropeDim);
  const down = a.kvRank + a.ropeDim;
  const queries: [number, number][] =
    a.queryRank === 0
      ? [
          [query, D],
          [down, D],
        ]
      : [
          [a.queryRank + down, D],
          [query, a.queryRank],
        ];
  return [...queries, [heads * a.kvRank, a.nopeDim], [heads * a.valueDim, a.kvRank], [D, heads * a.valueDim]];
}

/** The same of a layer without a cache that grows. */
export function linearProducts({ linear, modelDim: D }: ModelFacts, tp: number): [number, number][] {
  if (linear === undefined) return [];
  const { keyHeads, valueHeads, headDim } = linear;
  return [
    [((2 * keyHeads + 2 * valueHeads) * headDim) / tp, D],
    [D, (valueHeads * headDim) / tp],
  ];
}
