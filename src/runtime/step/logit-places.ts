/** Where rows lie on their way to logits. */
import { roundUp } from '../../core/math.ts';

export interface LogitPlace {
  /** The rank whose scratch they lie in. */
  readonly holder: number;
  readonly firstRow: number;
  readonly numRows: number;
}

/**
 * Ranks with the same part of the vocabulary read the same weights, so their rows are put behind each other in the scratch of the
 * first, as many as it has room for, and one product serves them: 16 ranks with a row each read the weights once.
 * Example: three ranks of one member with a row each, room for 2 -> the first two lie with the first, the third by itself.
 * @param wanted per rank: its TP member, and how many of its rows are scored.
 * @param step rows from one place to the next at which a binding may begin.
 */
export function logitPlaces(
  wanted: readonly { readonly tp: number; readonly numRows: number }[],
  room: number,
  step: number,
): LogitPlace[] {
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

/** Rows from one place at which a binding may begin to the next: 2 rows of 128 bytes where offsets are multiples of 256. */
export function rowsPerOffset(rowBytes: number, alignment: number): number {
  let rows = 1;
  while ((rows * rowBytes) % alignment !== 0) rows += 1;
  return rows;
}
