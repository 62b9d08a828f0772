/** Kernels whose best variant depends on how many rows there are: of a matrix, or of an expert. */
import { at } from '../core/math.ts';

/**
 * How many rows kernels are chosen for, and up to how many they serve. Between 8 and 16 a tile of 8 would read weights twice and
 * one of 32 multiply rows that are not there; from 17 to 48 a GPU's largest tile would. Guesses.
 */
const SIZES = [
  { rows: 1, most: 1 },
  { rows: 2, most: 2 },
  { rows: 8, most: 8 },
  { rows: 16, most: 16 },
  { rows: 32, most: 48 },
  { rows: 64, most: Infinity },
] as const;

/** One for each number of rows that kernels are chosen for, ascending. */
export type Sized<T> = readonly T[];

/** @param prepare for about so many rows. Where two are the same kernel it is compiled once. */
export function prepareSized<T>(prepare: (rows: number) => Promise<T>): Promise<Sized<T>> {
  return Promise.all(SIZES.map(({ rows }) => prepare(rows)));
}

/** What was prepared for about so many rows: sizedFor(all, 12) is for 16. */
export function sizedFor<T>(all: Sized<T>, rows: number): T {
  return at(
    all,
    SIZES.findIndex(({ most }) => rows <= most),
  );
}
