/**
 * What an operation takes inside of a running engine. Kernels timed alone carry launches, quantisation and cold caches that a
 * captured graph of fused kernels has not: on the calibration measurements their sum is half as large again as whole steps.
 * So a step is a roofline at the shares of the peaks that engines reach, and launches are counted by layer (`framework.ts`).
 */
import { dtypeNamed } from '../../hardware/dtypes.ts';
import { moeWork } from '../../hardware/plain.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import type { CollectiveQuery, ExchangeQuery, MoeQuery, Query } from '../../hardware/queries.ts';
import { hottestRank } from '../../hardware/skew.ts';
import {
  decodeWork,
  gemmWork,
  idealUs,
  mlaDecodeWork,
  mlaPrefillWork,
  prefillWork,
  type Work,
} from '../../hardware/work.ts';

/** Shares of the printed peaks: of arithmetic, of memory, of links. A profile may know its own. */
export const REACHED = { compute: 0.65, memory: 0.8, link: 0.7 } as const;

/** us of one operation, its launch not counted. */
export function kernelUs(query: Query, hardware: Profile): number {
  switch (query.op) {
    case 'gemm':
      return roofline(gemmWork(query), hardware);
    case 'moe':
      return roofline(moeWork(query), hardware);
    case 'attention-prefill':
      return roofline(prefillWork(query), hardware);
    case 'attention-decode':
      return roofline(decodeWork(query), hardware);
    case 'mla-prefill':
      return roofline(mlaPrefillWork(query), hardware);
    case 'mla-decode':
      return roofline(mlaDecodeWork(query), hardware);
    case 'ep-dispatch':
    case 'ep-combine':
      return exchange(query, hardware);
    case 'all_reduce':
    case 'all_gather':
    case 'reduce_scatter':
    case 'alltoall':
      return collective(query, hardware);
  }
}

function roofline(work: Work, hardware: Profile): number {
  const { compute, memory } = idealUs(work, hardware);
  const { reached } = hardware;
  if (reached === undefined) return Math.max(compute / REACHED.compute, memory / REACHED.memory);
  // Measured far from the ridge; near it neither hides the other, as in the curves of kernels. Fitted figures hold that for others.
  return Math.hypot(compute / reached.compute, memory / reached.memory);
}

/**
 * us that a multiprocessor which widens 1e9 bytes a second takes for the weights of the hottest rank's active experts. A GPU
 * without a printed number of them is not held up.
 */
export function widenedUs(query: MoeQuery, { multiprocessors }: Profile): number {
  const { hidden, inter, tp = 1 } = query;
  const weights = (3 * hidden * inter) / tp;
  const bytes = (hottestRank(query).activeExperts * weights * dtypeNamed(query.dtype).weightBits) / 8;
  return multiprocessors > 0 ? bytes / (multiprocessors * 1e3) : 0;
}

/** (r-1)/r of the buffer through a GPU's own link, twice for an all-reduce. */
function collective({ op, bytes, ranks, nodes = 1 }: CollectiveQuery, hardware: Profile): number {
  if (ranks <= 1) return 0;
  const passes = op === 'all_reduce' ? 2 : 1;
  const { gbPerS } = nodes > 1 ? hardware.between : hardware.node;
  return (passes * bytes * (ranks - 1)) / ranks / (gbPerS * 1e3 * REACHED.link);
}

/** A row goes once to every node, and within a node once to every rank, that has one of its experts. */
function exchange(
  { tokens, hidden, topk, ranks, nodes = 1, op, dtype }: ExchangeQuery,
  hardware: Profile,
): number {
  if (ranks <= 1) return 0;
  const bits = dtypeNamed(dtype ?? (op === 'ep-dispatch' ? 'fp8' : 'bf16')).activationBits;
  const reached = (parts: number): number => parts * (1 - (1 - 1 / parts) ** topk) * ((parts - 1) / parts);
  const us = (parts: number, gbPerS: number): number =>
    (tokens * ((hidden * bits) / 8) * reached(parts)) / (gbPerS * 1e3 * REACHED.link);
  const near = us(ranks, hardware.node.gbPerS);
  return nodes > 1 ? Math.max(near, us(nodes, hardware.between.gbPerS)) : near;
}
