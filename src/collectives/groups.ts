/** Rank groups as the device reads them. Ranks are numbered within their stage. */
import { invariant } from '../core/errors.ts';
import { at, maxOf } from '../core/math.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

export interface GroupTable {
  /** In the order in which members are summed and their blocks lie. */
  readonly groups: readonly (readonly number[])[];
  readonly numRanks: number;
  /** Members of the largest group. */
  readonly groupSize: number;
  /** u32: all groups' members, group after group. */
  readonly members: GpuBuffer;
  /** 4 u32 per rank: place of its group in `members`, group size, own index, 0. */
  readonly ofRank: GpuBuffer;
  /** Place of each group in `members`. */
  readonly firstMember: readonly number[];
  destroy(): void;
}

/** The host's side of a table: groups [[0, 1], [2, 3]] -> members [0, 1, 2, 3], rank 3 -> [2, 2, 1, 0]. */
export function groupWords(groups: readonly (readonly number[])[]): {
  members: Uint32Array;
  ofRank: Uint32Array;
  firstMember: number[];
} {
  const members = Uint32Array.from(groups.flat());
  const numRanks = members.length;
  invariant(new Set(members).size === numRanks, () => `groups ${JSON.stringify(groups)} name a rank twice`);
  const ofRank = new Uint32Array(4 * numRanks);
  const firstMember: number[] = [];
  let first = 0;
  for (const group of groups) {
    firstMember.push(first);
    group.forEach((rank, index) => {
      invariant(rank < numRanks, () => `rank ${rank} is in a group, but there are ${numRanks} ranks`);
      ofRank.set([first, group.length, index, 0], 4 * rank);
    });
    first += group.length;
  }
  return { members, ofRank, firstMember };
}

export function groupTable(gpu: Gpu, label: string, groups: readonly (readonly number[])[]): GroupTable {
  const { members, ofRank, firstMember } = groupWords(groups);
  const membersBuffer = gpu.upload(`${label}/members`, members);
  const ofRankBuffer = gpu.upload(`${label}/of-rank`, ofRank);
  return {
    groups,
    numRanks: members.length,
    groupSize: maxOf(groups.map((g) => g.length)),
    members: membersBuffer,
    ofRank: ofRankBuffer,
    firstMember,
    destroy: () => {
      membersBuffer.destroy();
      ofRankBuffer.destroy();
    },
  };
}

/**
 * Which rows each rank holds of its group's rows, for reduce-scatter and all-gather: 4 u32 per rank
 * (place in `members`, group size, first row, rows).
 */
export function shareWords(
  groups: readonly (readonly number[])[],
  rows: readonly { readonly first: number; readonly count: number }[],
): Uint32Array<ArrayBuffer> {
  const { ofRank } = groupWords(groups);
  const words = new Uint32Array(ofRank.length);
  rows.forEach((run, rank) => {
    words.set([at(ofRank, 4 * rank), at(ofRank, 4 * rank + 1), run.first, run.count], 4 * rank);
  });
  return words;
}
