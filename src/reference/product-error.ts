/** What bounds of products of rows are made of, where operands were rounded first. */
import { f64At } from './f64.ts';

/** Of the magnitudes of a row. */
export interface RowSize {
  readonly most: number;
  readonly sum: number;
}

/** A row of activations times a row of weights. */
export interface ProductSize {
  /** The sum of the magnitudes of its terms. */
  readonly terms: number;
  readonly depth: number;
  readonly a: RowSize;
  readonly b: RowSize;
}

/** By how much a product may be off. */
export type ProductError = (of: ProductSize) => number;

export function rowSize(values: Float64Array, first: number, depth: number): RowSize {
  let [most, sum] = [0, 0];
  for (let i = first; i < first + depth; i++) {
    const size = Math.abs(f64At(values, i));
    most = Math.max(most, size);
    sum += size;
  }
  return { most, sum };
}
