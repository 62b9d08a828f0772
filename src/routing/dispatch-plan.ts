import { ConfigError, invariant } from '../core/errors.ts';
import { requireGiven } from '../core/given.ts';
import { at, range, sum } from '../core/math.ts';

/**
 * A MoE dispatch over one EP group as plain integers: where every row goes and where it lands. The GPU path is
 * held against it, element by element.
 *
 * T tokens and K experts per token of one source rank; E experts; L experts of one destination rank.
 *
 * Example: 2 ranks, 4 experts; rank 0 owns experts 0 and 1, rank 1 owns experts 2 and 3; K = 2.
 *
 *     source 0  ids_TK = [2,0, 2,1]  count_E = [1,1,2,0]  start_E = [0,1,2,4]  slot_TK = [2,0, 3,1]
 *     source 1  ids_TK = [0,3]       count_E = [1,0,0,1]  start_E = [0,1,1,1]  slot_TK = [0,1]
 *
 *     rank 0 receives   expert 0: source 0 row 0, source 1 row 0;  expert 1: source 0 row 1    count_L = [2,1]
 *     rank 1 receives   expert 2: source 0 rows 2 and 3;           expert 3: source 1 row 1    count_L = [2,1]
 */
export interface DispatchPlan {
  /** One per source rank. */
  readonly sends: readonly SendPlan[];
  /** One per destination rank; the ranks are the same. */
  readonly receives: readonly ReceivePlan[];
}

/** The send buffer holds one row per (token, k), sorted by expert, then token, then k. */
export interface SendPlan {
  readonly count_E: readonly number[];
  /** Exclusive scan of count_E: the first row of each expert. */
  readonly start_E: readonly number[];
  /** Row in the send buffer of each (token, k); `DROPPED` where the id is. */
  readonly slot_TK: readonly number[];
  readonly numRows: number;
}

/** The receive buffer holds one run per local expert; in a run the sources follow each other in rank order. */
export interface ReceivePlan {
  /** One per (local expert, source), in that order, empty ones included: block l * numSources + s. */
  readonly blocks: readonly ReceiveBlock[];
  readonly count_L: readonly number[];
  readonly start_L: readonly number[];
  readonly numRows: number;
}

/** Rows [sendStart, sendStart + count) of the source become rows [recvStart, recvStart + count) here. */
export interface ReceiveBlock {
  readonly source: number;
  /** Global expert id. */
  readonly expert: number;
  readonly sendStart: number;
  readonly recvStart: number;
  readonly count: number;
}

/** Which experts each rank of the EP group holds, in local order; every expert exactly once. */
export type ExpertOwners = readonly (readonly number[])[];

/** An id or slot that stands for nothing: a pair that a capacity limit dropped (~0u in a shader). */
export const DROPPED = 0xffff_ffff;

/**
 * The plan of an EP group: ids are experts, or slots of a placement with its `slotsOfRanks` as owners.
 * @param idsPerSource ids_TK of each source rank, row-major; sources may differ in length and may be empty.
 * @throws ConfigError when an id is neither an expert nor `DROPPED`.
 */
export function planDispatch(idsPerSource: readonly ArrayLike<number>[], owners: ExpertOwners): DispatchPlan {
  requireGiven('The ids of the sources', idsPerSource, 'list');
  requireGiven('The owners', owners, 'list');
  const numExperts = checkOwners(owners);
  invariant(
    idsPerSource.length === owners.length,
    () => `${idsPerSource.length} sources for an EP group of ${owners.length} ranks`,
  );
  const sends = idsPerSource.map((ids_TK, source) => planSend(ids_TK, numExperts, source));
  const receives = owners.map((experts) => planReceive(sends, experts));
  return { sends, receives };
}

/** @throws ConfigError when an id is neither an expert nor `DROPPED`. */
export function planSend(ids_TK: ArrayLike<number>, numExperts: number, source = 0): SendPlan {
  const count_E = range(numExperts).map(() => 0);
  for (let i = 0; i < ids_TK.length; i++) {
    const id = at(ids_TK, i);
    if (id === DROPPED) continue;
    if (!(Number.isInteger(id) && id >= 0 && id < numExperts)) {
      throw new ConfigError(
        `source ${source} routes entry ${i} to expert ${id}; ids must be in [0, ${numExperts}), or ${DROPPED} ` +
          `for a dropped pair. Check the router that made them.`,
      );
    }
    count_E[id] = at(count_E, id) + 1;
  }
  const start_E = exclusiveScan(count_E);
  const next_E = [...start_E];
  const slot_TK = Array.from(ids_TK, (id) => {
    if (id === DROPPED) return DROPPED;
    const slot = at(next_E, id);
    next_E[id] = slot + 1;
    return slot;
  });
  return { count_E, start_E, slot_TK, numRows: sum(count_E) };
}

/** What the owner of `experts` receives from all sources. */
export function planReceive(sends: readonly SendPlan[], experts: readonly number[]): ReceivePlan {
  const blocks: ReceiveBlock[] = [];
  let recvStart = 0;
  for (const expert of experts) {
    sends.forEach((send, source) => {
      const count = at(send.count_E, expert);
      blocks.push({ source, expert, sendStart: at(send.start_E, expert), recvStart, count });
      recvStart += count;
    });
  }
  const count_L = experts.map((expert) => sum(sends.map((send) => at(send.count_E, expert))));
  return { blocks, count_L, start_L: exclusiveScan(count_L), numRows: recvStart };
}

/** Rows [first, end) of one local expert, of which a workgroup of the grouped GEMM takes all. */
export interface Tile {
  readonly localExpert: number;
  readonly first: number;
  readonly end: number;
}

/** Tiles of at most `tileRows` rows over all received rows. In the example with 1: rank 0 has (0,0,1), (0,1,2), (1,2,3). */
export function tilesOf({ count_L, start_L }: ReceivePlan, tileRows: number): Tile[] {
  return count_L.flatMap((count, localExpert) => {
    const start = at(start_L, localExpert);
    return range(Math.ceil(count / tileRows)).map((i) => ({
      localExpert,
      first: start + i * tileRows,
      end: start + Math.min(count, (i + 1) * tileRows),
    }));
  });
}

function checkOwners(owners: ExpertOwners): number {
  const all = owners.flat();
  invariant(isPermutation(all), () => `owners must hold each expert once, got ${JSON.stringify(owners)}`);
  return all.length;
}

/** Where a received row came from: `entry` is the index into the source's ids_TK (token * K + k). */
export interface Arrival {
  readonly source: number;
  readonly entry: number;
  readonly expert: number;
}

/** The origin of every row of a rank's receive buffer, in order. In the example rank 1 gets entries 0, 2 of source 0 and 1 of source 1. */
export function arrivalsAt(plan: DispatchPlan, destination: number): Arrival[] {
  const entriesOf = plan.sends.map((send) => entryOfRow(send));
  return at(plan.receives, destination).blocks.flatMap((block) =>
    range(block.count).map((i) => ({
      source: block.source,
      entry: at(at(entriesOf, block.source), block.sendStart + i),
      expert: block.expert,
    })),
  );
}

/** The inverse of slot_TK: which (token, k) each row of the send buffer holds. */
export function entryOfRow(send: SendPlan): number[] {
  const entry_R = range(send.numRows).map(() => DROPPED);
  send.slot_TK.forEach((slot, entry) => {
    if (slot !== DROPPED) entry_R[slot] = entry;
  });
  return entry_R;
}

/** True when `values` holds each of 0 .. length-1 once. isPermutation([2,0,1]) is, isPermutation([0,0]) is not. */
export function isPermutation(values: ArrayLike<number>): boolean {
  const seen = new Set<number>();
  for (let i = 0; i < values.length; i++) {
    const value = at(values, i);
    if (!Number.isInteger(value) || value < 0 || value >= values.length) return false;
    seen.add(value);
  }
  return seen.size === values.length;
}

/** exclusiveScan([1,1,2,0]) = [0,1,2,4] */
export function exclusiveScan(counts: readonly number[]): number[] {
  let total = 0;
  return counts.map((count) => {
    total += count;
    return total - count;
  });
}
