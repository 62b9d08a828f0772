/**
 * Collectives between the ranks of a stage, and hand-over between stages. A verb gives a segment of the step: recorded
 * where all ranks are on one device, to be awaited where the same arrays move between processes.
 */
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Run } from '../layout/layout.ts';
import type { GroupTable } from './groups.ts';
import type { Segment } from './segments.ts';
import type { SymmetricArray } from './symmetric.ts';

export interface RowShares {
  readonly groups: GroupTable;
  /** See `shareWords`. */
  readonly shares: GpuBuffer;
  /** Ranks outside of this run have no rows; all by default. */
  readonly ranks?: Run | undefined;
  /** Rows of the largest share (reduce-scatter) or the largest whole (all-gather). */
  readonly maxRows: number;
  readonly width: number;
}

/** Sizes and places of an all-to-all(v) that the GPU has planned (see kernels/route-plan.ts). */
export interface RowExchange {
  readonly groups: GroupTable;
  /** Which group of the table exchanges. */
  readonly group: number;
  /** Members outside of this run send nothing; all by default. */
  readonly sources?: Run | undefined;
  /** Rows of the fullest send part: a bound that the host knows. */
  readonly maxRows: number;
  readonly width: number;
  readonly numExperts: number;
  readonly localExperts: number;
  /** Per rank u32 [E + 1]. */
  readonly start: SymmetricArray;
  /** Per rank u32 [local E, sources]. */
  readonly receiveStart: SymmetricArray;
}

/** One rank's rows for its successor in the next stage. */
export interface HandOver {
  readonly from: BufferView;
  readonly to: BufferView;
  readonly bytes: number;
}

export interface Transport<S extends Segment = Segment> {
  readonly name: string;
  /** y[r] = the rows of r's share, summed over the members of its group in their order. */
  reduceScatterRows(x: SymmetricArray, y: SymmetricArray, p: RowShares): S;
  /** y[r] = all rows of r's group, each from the member that holds it. */
  allGatherRows(x: SymmetricArray, y: SymmetricArray, p: RowShares): S;
  /** y[r] = the sum of the first `count` f32 of all members of r's group, in their order. */
  allReduce(x: SymmetricArray, y: SymmetricArray, groups: GroupTable, count: number): S;
  /** y[r] = [members, count]: the first `count` words of every member of r's group, for all ranks or a run of them. */
  allGather(x: SymmetricArray, y: SymmetricArray, groups: GroupTable, count: number, ranks?: Run): S;
  /** y[r][j] = x[member j][own index of r], blocks of `count` words. */
  allToAll(x: SymmetricArray, y: SymmetricArray, groups: GroupTable, count: number): S;
  /** Rows of `send` to the owners of their experts. */
  dispatchRows(send: SymmetricArray, receive: SymmetricArray, p: RowExchange): S;
  /** Rows back from the owners, to where they came from. */
  returnRows(receive: SymmetricArray, send: SymmetricArray, p: RowExchange): S;
  /** The rows of every rank of a stage to the next stage. */
  sendReceive(moves: readonly HandOver[]): S;
}
