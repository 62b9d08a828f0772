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
