/** Which key/value heads a tensor-parallel rank needs. */
import { range } from '../../core/math.ts';

/**
 * Key/value heads that the query heads of a rank read, in the order of its heads. 8 heads over 2 key/value heads,
 * tp = 4: rank 1 has heads 2 and 3, which read [0]. Where groups do not end at a rank's border each of its heads
 * gets its own: 12 heads over 4 with tp = 3, rank 0 has heads 0..3, which read [0, 0, 0, 1].
 */
export function kvHeadsOf(
  size: { numHeads: number; numKvHeads: number; tp: number },
  rank: number,
): number[] {
  const perRank = size.numHeads / size.tp;
  const group = size.numHeads / size.numKvHeads;
  const read = range(perRank).map((i) => Math.floor((rank * perRank + i) / group));
  const distinct = [...new Set(read)];
  const localGroup = perRank / distinct.length;
  const even = read.every((head, i) => head === distinct[Math.floor(i / localGroup)]);
  return Number.isInteger(localGroup) && even ? distinct : read;
}
