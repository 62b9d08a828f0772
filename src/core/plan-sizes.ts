/** Sizes of what the plan of a routed layer writes, for the kernels that write it and for who makes room. */
import { ceilDiv } from './math.ts';

/** Choices per block of a plan in three dispatches. */
export const PLAN_BLOCK = 1024;

/** u32 of scratch that the plan of `numChoices` choices among `numExperts` experts needs. */
export function planScratchWords(numChoices: number, numExperts: number): number {
  return Math.max(1, ceilDiv(numChoices, PLAN_BLOCK)) * numExperts;
}

/** u32 of an entry of a tile list: expert, first row, end row, 0. */
export const TILE_WORDS = 4;

/** Entries of a tile list for at most `rows` rows: every expert may end in a tile that is not full, but none is empty. */
export function tileCapacity(rows: number, localExperts: number, tileRows: number): number {
  return Math.min(rows, Math.floor(rows / tileRows) + localExperts);
}

/** u32 of the indirect grids of both products: x, y, z and the number of rows, of the up and of the down projection. */
export const GRID_WORDS = 8;

/** u32 of a rank's account of what was admitted: rows offered, kept, moved, a bad token; scores offered and lost, as f32. */
export const ACCOUNT_WORDS = 8;

/**
 * u32 of what an admission keeps of a rank: rows of every expert, rows offered to and kept by every slot, the account, and
 * of each choice three words of scratch, of each token one.
 */
export function admissionWords(of: {
  readonly numExperts: number;
  readonly numSlots: number;
  readonly topK: number;
  readonly mostChoices: number;
}): number {
  const { numExperts, numSlots, topK, mostChoices } = of;
  return numExperts + 2 * numSlots + ACCOUNT_WORDS + 3 * mostChoices + ceilDiv(mostChoices, topK);
}
