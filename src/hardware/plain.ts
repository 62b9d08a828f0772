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
  if (hardware.launchUs !== undefined) return launches * hardware.launchUs + Math.max(compute, memory);
  return launches * LAUNCH_US + Math.max(compute / REACHED.compute, memory / REACHED.memory);
}

/** Nodes that hold the ranks. */
export function nodesOf({ ranks, nodes }: { ranks: number; nodes?: number }, hardware: Profile): number {
  return nodes ?? ceilDiv(ranks, hardware.node.gpus);
}

/** What a collective sends, us at the printed rates of each tier, and its steps. */
export function collectiveTerms(query: CollectiveQuery, hardware: Profile): LinkTerms {
  const { ranks, bytes, op } = query;
  const nodes = nodesOf(query, hardware);
  const perNode = Math.max(1, ranks / nodes);
  const passes = op === 'all_reduce' ? 2 : 1;
  const sent = (passes * bytes * (ranks - 1)) / Math.max(1, ranks);
  // Rings run over all ports of a node at once; an exchange has the port of its own GPU.
  const far = op === 'alltoall' ? (bytes * (ranks - perNode)) / ranks : sent / perNode;
  return {
    nodes,
    steps: passes * Math.log2(Math.max(1, ranks)),
    nearUs: perNode > 1 ? sent / (hardware.node.gbPerS * 1e3) : 0,
    farUs: nodes > 1 ? far / (hardware.between.gbPerS * 1e3) : 0,
  };
}

function collectiveUs(query: CollectiveQuery, hardware: Profile): number {
  if (query.ranks <= 1) return 0;
  const { steps, nearUs, farUs, nodes } = collectiveTerms(query, hardware);
  return (
    LAUNCH_US + steps * ALPHA_US[nodes > 1 ? 'between' : 'node'] + Math.max(nearUs, farUs) / REACHED.link
  );
}

export interface LinkTerms {
  readonly nodes: number;
  readonly steps: number;
  readonly nearUs: number;
  readonly farUs: number;
}

/** Bits of a number that an exchange sends: rows go out in fp8 and come back in bfloat16 where nothing else is said. */
export function rowBits({ op, dtype }: ExchangeQuery): number {
  return dtypeNamed(dtype ?? (op === 'ep-dispatch' ? 'fp8' : 'bfloat16')).activationBits;
}

/** DeepSeek's router lets a token reach experts on so many nodes at most (DeepSeek-V3 technical report, 2.1.2). */
const MOST_NODES_OF_TOKEN = 4;

/**
 * Rows of a normal exchange that cost a node as much as if they crossed the network, though they stay: they pass through
 * the same buffers. From the tables of DeepEP's README for 2, 4 and 8 nodes.
 */
const STAGED_NODES = 2.5;

/**
 * What each rank sends in an exchange, us at the printed rates. Low-latency kernels send every choice by itself; the others
 * send a token once to every node that has one of its experts, and there to every rank that has one.
 */
export function exchangeTerms(query: ExchangeQuery, hardware: Profile): LinkTerms {
  const { tokens, hidden, topk, ranks } = query;
  const nodes = nodesOf(query, hardware);
  const rows = (tokens * hidden * rowBits(query)) / 8e3;
  const reached = (groups: number): number => groups * (1 - (1 - 1 / groups) ** topk);
  const away = 1 - 1 / nodes;
  const steps = Math.log2(Math.max(1, ranks));
  if (modeOf(query) === 'low-latency') {
    const [nearUs, farUs] = [(rows * topk) / nodes, rows * topk * away];
    return { nodes, steps, nearUs: nearUs / hardware.node.gbPerS, farUs: farUs / hardware.between.gbPerS };
  }
  const far = nodes > 1 ? reached(Math.min(nodes, MOST_NODES_OF_TOKEN)) * away + STAGED_NODES : 0;
  return {
    ...{ nodes, steps },
    nearUs: (rows * reached(ranks)) / hardware.node.gbPerS,
    farUs: (rows * far) / hardware.between.gbPerS,
  };
}

/** A guess: below, latency counts; above, the bytes. */
const MOST_LOW_LATENCY_TOKENS = 256;

/** The kind of exchange that a query asks for. */
export function modeOf({ mode, tokens }: ExchangeQuery): string {
  return mode ?? (tokens <= MOST_LOW_LATENCY_TOKENS ? 'low-latency' : 'normal');
}

function exchangeUs(query: ExchangeQuery, hardware: Profile): number {
  if (query.ranks <= 1) return LAUNCH_US;
  const { nearUs, farUs, nodes } = exchangeTerms(query, hardware);
  return (
    3 * LAUNCH_US + 2 * ALPHA_US[nodes > 1 ? 'between' : 'node'] + Math.max(nearUs, farUs) / REACHED.link
  );
}
