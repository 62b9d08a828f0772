/**
 * Collectives in closed form: how many steps follow each other, and how many bytes a rank sends in them. Thakur, Rabenseifner
 * and Gropp, Optimization of Collective Communication Operations in MPICH (2005); Bruck and others (1997) for the all-to-all.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireSize } from './rate.ts';
import type { Link } from './rate.ts';

/** What one rank does: messages of equal size, one after the other. */
export interface Steps {
  /** Steps that follow each other, each with a latency. */
  readonly steps: number;
  /** Bytes that a rank sends in all of them. */
  readonly bytes: number;
}

/** `bytes` is n: what each rank has before an all-reduce, a reduce-scatter or an all-to-all, and after an all-gather. */
export type Schedule = (bytes: number, ranks: number) => Steps;

const log2 = (ranks: number, what: string): number => {
  if (Number.isInteger(Math.log2(ranks))) return Math.log2(ranks);
  throw new ConfigError(`${what} is for a power of two ranks, not ${ranks}.`);
};

/** The part of n that does not stay: (p - 1) / p. */
const moved = (bytes: number, ranks: number): number => (bytes * (ranks - 1)) / ranks;

/** All schedules by collective and algorithm. */
export const SCHEDULES = {
  all_reduce: {
    /** Reduce-scatter and all-gather around a ring: 2 (p - 1) steps, 2 n (p - 1) / p bytes. */
    ring: (n, p) => ({ steps: 2 * (p - 1), bytes: 2 * moved(n, p) }),
    /** Everything, with a partner twice as far each time: log2 p steps of n bytes. */
    'recursive-doubling': (n, p) => ({
      steps: log2(p, 'recursive doubling'),
      bytes: n * log2(p, 'recursive doubling'),
    }),
    /** Rabenseifner's: halves, then doubles: 2 log2 p steps, 2 n (p - 1) / p bytes. */
    'halving-doubling': (n, p) => ({ steps: 2 * log2(p, 'halving and doubling'), bytes: 2 * moved(n, p) }),
    /** Everything to everybody at once: one step, (p - 1) n bytes. */
    'one-shot': (n, p) => ({ steps: p > 1 ? 1 : 0, bytes: n * (p - 1) }),
    /** A part to each owner, and back: two steps, 2 n (p - 1) / p bytes. */
    'two-shot': (n, p) => ({ steps: p > 1 ? 2 : 0, bytes: 2 * moved(n, p) }),
  },
  all_gather: {
    ring: (n, p) => ({ steps: p - 1, bytes: moved(n, p) }),
    'recursive-doubling': (n, p) => ({ steps: log2(p, 'recursive doubling'), bytes: moved(n, p) }),
    'one-shot': (n, p) => ({ steps: p > 1 ? 1 : 0, bytes: moved(n, p) }),
  },
  reduce_scatter: {
    ring: (n, p) => ({ steps: p - 1, bytes: moved(n, p) }),
    'recursive-halving': (n, p) => ({ steps: log2(p, 'recursive halving'), bytes: moved(n, p) }),
    'one-shot': (n, p) => ({ steps: p > 1 ? 1 : 0, bytes: moved(n, p) }),
  },
  alltoall: {
    /** One partner a step: p - 1 steps, n (p - 1) / p bytes. */
    pairwise: (n, p) => ({ steps: p - 1, bytes: moved(n, p) }),
    /** Blocks travel through others: in step i those whose distance has bit i, so ceil(log2 p) steps and more bytes. */
    bruck: (n, p) => ({ steps: Math.ceil(Math.log2(p)), bytes: (n / p) * blocksOfBruck(p) }),
    'one-shot': (n, p) => ({ steps: p > 1 ? 1 : 0, bytes: moved(n, p) }),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Schedule>>>>;

/** Bits that are set in 1 .. p - 1: for p a power of two p / 2 log2 p. */
function blocksOfBruck(ranks: number): number {
  let blocks = 0;
  for (let distance = 1; distance < ranks; distance++) {
    for (let rest = distance; rest > 0; rest >>= 1) blocks += rest & 1;
  }
  return blocks;
}

/** us of steps over a link, each with its latency: steps alpha + bytes beta, by the segment of one step's size. */
export function stepsUs({ steps, bytes }: Steps, link: Link): number {
  if (steps === 0) return 0;
  return steps * link.us(bytes / steps);
}

/**
 * An all-reduce over nodes of `perNode` ranks: reduce-scatter within, all-reduce of a p-th between equal ranks of the nodes,
 * all-gather within. @throws ConfigError for ranks that do not fill the nodes.
 */
export function twoTierAllReduce(bytes: number, ranks: number, perNode: number): { near: Steps; far: Steps } {
  requireSize('ranks', ranks);
  if (ranks % perNode !== 0) throw new ConfigError(`nodes of ${perNode} ranks do not divide ${ranks} ranks.`);
  const inner = SCHEDULES.all_gather.ring(bytes, perNode);
  return {
    near: { steps: 2 * inner.steps, bytes: 2 * inner.bytes },
    far: SCHEDULES.all_reduce.ring(bytes / perNode, ranks / perNode),
  };
}
