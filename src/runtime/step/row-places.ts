/** Where rows lie that are multiplied with weights which several ranks have. */
import { ofRanks } from '../../collectives/segments.ts';
import { maxOf, roundUp } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';

/** What a rank wants to multiply: rows with the part of a matrix that TP members of its number hold. */
export interface WantedRows {
  readonly tp: number;
  readonly numRows: number;
}

export interface RowPlace {
  /** The rank whose scratch they lie in. */
  readonly holder: number;
  readonly firstRow: number;
  readonly numRows: number;
}

/** One product of rows in the scratch of its holder. */
export interface RowProduct {
  readonly holder: number;
  /** From the first row on; those between two places count. */
  readonly numRows: number;
  /** Whose rows they are, the holder's among them. */
  readonly ranks: readonly number[];
}

export interface PlacedRows {
  /** Per rank of a stage. */
  readonly places: readonly RowPlace[];
  readonly products: readonly RowProduct[];
}

/**
 * TP members of one number hold the same part of a matrix, so their rows are put behind each other in the scratch of the first of
 * them, as many as it has room for, and one product serves them: 16 ranks with a row each read the weights once.
 * Example: three ranks of one member with a row each, room for 2 -> the first two lie with the first, the third by itself.
 * @param wanted per rank.
 * @param step rows from one place to the next at which a binding may begin.
 */
export function sharedRows(wanted: readonly WantedRows[], room: number, step: number): PlacedRows {
  const open = new Map<number, { holder: number; next: number }>();
  return placed(
    wanted.map(({ tp, numRows }, rank) => {
      const last = open.get(tp);
      const firstRow = last === undefined ? 0 : roundUp(last.next, step);
      const joins = last !== undefined && firstRow + numRows <= room;
      const place = joins
        ? { holder: last.holder, firstRow, numRows }
        : { holder: rank, firstRow: 0, numRows };
      if (numRows > 0) open.set(tp, { holder: place.holder, next: place.firstRow + numRows });
      return place;
    }),
  );
}

/** Each rank's rows in its own scratch, as on a device of its own. */
export function ownRows(wanted: readonly WantedRows[]): PlacedRows {
  return placed(wanted.map(({ numRows }, rank) => ({ holder: rank, firstRow: 0, numRows })));
}

/** @param apart see `StepOptions`. */
export function placeRows(
  wanted: readonly WantedRows[],
  room: number,
  step: number,
  apart: boolean,
): PlacedRows {
  return apart ? ownRows(wanted) : sharedRows(wanted, room, step);
}

function placed(places: readonly RowPlace[]): PlacedRows {
  const products = new Map<number, RowProduct>();
  for (const [rank, { holder, firstRow, numRows }] of places.entries()) {
    if (numRows === 0) continue;
    const before = products.get(holder)?.ranks ?? [];
    products.set(holder, { holder, numRows: firstRow + numRows, ranks: [...before, rank] });
  }
  return { places, products: [...products.values()] };
}

/** The time of each product is that of the ranks whose rows it has. */
export function eachProduct(
  commands: CommandList,
  { products }: PlacedRows,
  record: (product: RowProduct) => void,
): void {
  for (const product of products) {
    ofRanks(commands, ...product.ranks);
    record(product);
  }
}

/** Each rank that has rows, and where they lie. */
export function eachPlace(
  commands: CommandList,
  { places }: PlacedRows,
  record: (rank: number, place: RowPlace) => void,
): void {
  for (const [rank, place] of places.entries()) {
    if (place.numRows === 0) continue;
    ofRanks(commands, rank);
    record(rank, place);
  }
}

/**
 * Rows from one offset at which a binding may begin to the next, of arrays with rows of so many bytes: 2 of 128 bytes where offsets
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
