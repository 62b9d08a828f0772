/** Where rows lie that are multiplied with weights which several ranks have. */
import { maxOf, roundUp } from '../../core/math.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';

export interface RowPlace {
  /** The rank whose scratch they lie in. */
  readonly holder: number;
  readonly firstRow: number;
  readonly numRows: number;
}

/**
 * TP members of one number hold the same part of a matrix, so their rows are put behind each other in the scratch of the first of
 * them, as many as it has room for, and one product serves them: 16 ranks with a row each read the weights once.
 * Example: three ranks of one member with a row each, room for 2 -> the first two lie with the first, the third by itself.
 * @param wanted per rank: its TP member, and how many rows it has.
 * @param step rows from one place to the next at which a binding may begin.
 */
export function rowPlaces(
  wanted: readonly { readonly tp: number; readonly numRows: number }[],
  room: number,
  step: number,
): RowPlace[] {
  const open = new Map<number, { holder: number; next: number }>();
  return wanted.map(({ tp, numRows }, rank) => {
    const last = open.get(tp);
    const firstRow = last === undefined ? 0 : roundUp(last.next, step);
    const joins = last !== undefined && firstRow + numRows <= room;
    const place = joins ? { holder: last.holder, firstRow, numRows } : { holder: rank, firstRow: 0, numRows };
    if (numRows > 0) open.set(tp, { holder: place.holder, next: place.firstRow + numRows });
    return place;
  });
}

/** Each rank's rows in its own scratch, as on a device of its own. */
export function ownPlaces(wanted: readonly { readonly numRows: number }[]): RowPlace[] {
  return wanted.map(({ numRows }, rank) => ({ holder: rank, firstRow: 0, numRows }));
}

/** Rows that each holder's scratch has, from the first on; those between two places count. */
export function rowsHeld(places: readonly RowPlace[]): Map<number, number> {
  const held = new Map<number, number>();
  for (const { holder, firstRow, numRows } of places) {
    if (numRows > 0) held.set(holder, firstRow + numRows);
  }
  return held;
}

/** Holders whose scratch has rows of other ranks. */
export function sharedHolders(places: readonly RowPlace[]): Set<number> {
  const joined = places.filter(({ holder, numRows }, rank) => numRows > 0 && holder !== rank);
  return new Set(joined.map(({ holder }) => holder));
}

/**
 * Rows from one place at which a binding may begin to the next, of arrays with rows of so many bytes: 2 of 128 bytes where offsets
 * are multiples of 256.
 * @param alignment a power of two.
 */
export function rowsPerOffset(rowBytes: readonly number[], alignment: number): number {
  return maxOf(
    rowBytes.map((bytes) => {
      let rows = 1;
      while ((rows * bytes) % alignment !== 0) rows *= 2;
      return rows;
    }),
  );
}

/** Of the rows before and behind the projections around attention. */
export function projectionStep(z: RankSizes, alignment: number): number {
  const heads = 4 * z.headDim;
  const widths = [4 * z.modelDim, (z.numHeads + 2 * z.numKvHeads) * heads, z.numHeads * heads];
  return rowsPerOffset(widths, alignment);
}
