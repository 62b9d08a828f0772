/** What an operation takes by figures alone, where no measurement covers it: a roofline, and alpha-beta links. */
import { ceilDiv } from '../core/math.ts';
import { dtypeNamed } from './dtypes.ts';
import type { Profile } from './profiles/profile.ts';
import type { CollectiveQuery, ExchangeQuery, MoeQuery, Query } from './queries.ts';
import { hottestRank } from './skew.ts';
import {
  idealUs,
  decodeWork,
  gemmWork,
  mlaDecodeWork,
  mlaPrefillWork,
  prefillWork,
  type Work,
} from './work.ts';

/** Shares of the printed peaks that good kernels reach, and us that a kernel takes at least. Guesses. */
const REACHED = { compute: 0.65, memory: 0.8, link: 0.8 } as const;
const LAUNCH_US = 5;
/** us that a message takes before its first byte: within a node, and between nodes. Guesses. */
const ALPHA_US = { node: 2, between: 6 } as const;

/** Of an MoE layer's hottest rank: weights of its active experts are read once, three products a row. */
export function moeWork(query: MoeQuery): Work {
  const { hidden, inter, tp = 1 } = query;
  const dtype = dtypeNamed(query.dtype);
  const { rows, activeExperts } = hottestRank(query);
  const width = (3 * hidden * inter) / tp;
  const activations = (rows * (2 * hidden + (3 * inter) / tp) * dtype.activationBits) / 8;
  return {
    flop: 2 * rows * width,
    bytes: (activeExperts * width * dtype.weightBits) / 8 + activations,
    dtype,
  };
}

/** us of any operation by the roofline or by its links. */
export function plainUs(query: Query, hardware: Profile): number {
  switch (query.op) {
    case 'gemm':
      return rooflineUs(gemmWork(query), hardware, 1);
    case 'moe':
      return rooflineUs(moeWork(query), hardware, 3);
    case 'attention-prefill':
      return rooflineUs(prefillWork(query), hardware, 1);
    case 'attention-decode':
      return rooflineUs(decodeWork(query), hardware, 1);
    case 'mla-prefill':
      return rooflineUs(mlaPrefillWork(query), hardware, 1);
    case 'mla-decode':
      return rooflineUs(mlaDecodeWork(query), hardware, 2);
    case 'ep-dispatch':
    case 'ep-combine':
      return exchangeUs(query, hardware);
    case 'all_reduce':
    case 'all_gather':
    case 'reduce_scatter':
    case 'alltoall':
      return collectiveUs(query, hardware);
  }
}

function rooflineUs(work: Work, hardware: Profile, launches: number): number {
  const { compute, memory } = idealUs(work, hardware);
  return launches * LAUNCH_US + Math.max(compute / REACHED.compute, memory / REACHED.memory);
}

/** Nodes that hold the ranks. */
export function nodesOf({ ranks, nodes }: { ranks: number; nodes?: number }, hardware: Profile): number {
  return nodes ?? ceilDiv(ranks, hardware.node.gpus);
}

/** A ring, or pairwise exchange: (r-1)/r of the buffer through a GPU's own link, twice for an all-reduce. */
function collectiveUs(query: CollectiveQuery, hardware: Profile): number {
  const { ranks, bytes, op } = query;
  if (ranks <= 1) return 0;
  const far = nodesOf(query, hardware) > 1;
  const passes = op === 'all_reduce' ? 2 : 1;
  const rate = (far ? hardware.between : hardware.node).gbPerS * 1e3 * REACHED.link;
  const steps = Math.log2(ranks) * passes;
  return (
    LAUNCH_US + steps * ALPHA_US[far ? 'between' : 'node'] + (passes * bytes * (ranks - 1)) / ranks / rate
  );
}

/** Each token goes once to every node that has one of its experts, and within a node to every rank that has one. */
function exchangeUs(query: ExchangeQuery, hardware: Profile): number {
  const { tokens, hidden, topk, ranks, op } = query;
  if (ranks <= 1) return LAUNCH_US;
  const nodes = nodesOf(query, hardware);
  const bits = dtypeNamed(query.dtype ?? (op === 'ep-dispatch' ? 'fp8' : 'bf16')).activationBits;
  const row = (hidden * bits) / 8;
  const reached = (groups: number): number => groups * (1 - (1 - 1 / groups) ** topk);
  const near =
    (tokens * row * reached(ranks) * (ranks - 1)) / ranks / (hardware.node.gbPerS * 1e3 * REACHED.link);
  const away =
    nodes > 1
      ? (tokens * row * reached(nodes) * (nodes - 1)) / nodes / (hardware.between.gbPerS * 1e3 * REACHED.link)
      : 0;
  return 3 * LAUNCH_US + ALPHA_US[nodes > 1 ? 'between' : 'node'] * 2 + Math.max(near, away);
}
