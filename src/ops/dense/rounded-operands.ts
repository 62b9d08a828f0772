/** What rounding the operands of a product first may cost, beside what the product costs in f32. */
import { range } from '../../core/math.ts';
import type { MatmulSize } from '../../reference/matmul.ts';
import type { WeightDtype } from '../../tensor/quantised.ts';

/** Half a step of f16 beside a value. */
const HALF = 2 ** -11;
/** The least step of f16 is half of 2^-24, and a row's largest magnitude is brought to 2^4 or more: relative to that. */
const LEAST = 2 ** -25 / 2 ** 4;
/** Half of the 127 steps that a row's largest magnitude has in int8, and what making them in f32 misses. */
const HALF_STEP = (0.5 / 127) * (1 + 2 ** -10);
/** Formats whose values, times a power of two, f16 holds. */
const IN_HALVES: readonly WeightDtype[] = ['f16', 'int8', 'mxfp4'];

/** Of each row: its largest magnitude, and the sum of its magnitudes. */
function rowsOf(values: Float64Array, rows: number, depth: number): { most: number; sum: number }[] {
  return range(rows).map((row) => {
    let [most, sum] = [0, 0];
    for (const value of values.subarray(row * depth, (row + 1) * depth)) {
      most = Math.max(most, Math.abs(value));
      sum += Math.abs(value);
    }
    return { most, sum };
  });
}

export interface RoundedProduct {
  /** [M, K] and [N, K]. */
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly size: MatmulSize;
  readonly weightDtype: WeightDtype;
  /** sum over k of |a b|, [M, N]. */
  readonly magnitude: Float64Array;
}

/** By how much each element of a b^T, [M, N], may be off since both operands were rounded to f16. */
export function ofHalves({ a, b, size, weightDtype, magnitude }: RoundedProduct): Float64Array {
  const relative = IN_HALVES.includes(weightDtype) ? HALF : 2 * HALF + HALF ** 2;
  const rowsA = rowsOf(a, size.m, size.k);
  const rowsB = rowsOf(b, size.n, size.k);
  return magnitude.map((terms, i) => {
    const [ofA, ofB] = [rowsA[Math.floor(i / size.n)], rowsB[i % size.n]];
    if (ofA === undefined || ofB === undefined) return terms * relative;
    return terms * relative + LEAST * (ofA.most * ofB.sum + ofB.most * ofA.sum);
  });
}

/**
 * By how much each element of a b^T, [M, N], may be off since a was rounded to int8 by row: half a step of every value, times
 * the sum of |b| of its column. b is int8 already.
 */
export function ofSteps({ a, b, size }: Pick<RoundedProduct, 'a' | 'b' | 'size'>): Float64Array {
  const rowsA = rowsOf(a, size.m, size.k);
  const rowsB = rowsOf(b, size.n, size.k);
  return Float64Array.from({ length: size.m * size.n }, (_, i) => {
    const [ofA, ofB] = [rowsA[Math.floor(i / size.n)], rowsB[i % size.n]];
    return ofA === undefined || ofB === undefined ? NaN : HALF_STEP * ofA.most * ofB.sum;
  });
}
