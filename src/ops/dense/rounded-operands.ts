/** What rounding the operands of a product first may cost, beside what the product costs in f32. */
import { at, range } from '../../core/math.ts';
import type { Rounding } from '../../kernels/own-budget.ts';
import type { MatmulSize } from '../../reference/matmul.ts';
import { type ProductError, type RowSize, rowSize } from '../../reference/product-error.ts';
import { gamma } from '../../tensor/compare.ts';
import type { WeightDtype } from '../../tensor/quantised.ts';

/** Half a step of f16 beside a value. */
const HALF = 2 ** -11;
/** The least step of f16 is half of 2^-24, and a row's largest magnitude is brought to 2^4 or more: relative to that. */
const LEAST = 2 ** -25 / 2 ** 4;
/** Half of the 127 steps that a row's largest magnitude has in int8, and what making them in f32 misses. */
const HALF_STEP = (0.5 / 127) * (1 + 2 ** -10);
/** Formats whose values, times a power of two, f16 holds. */
const IN_HALVES: readonly WeightDtype[] = ['f16', 'int8', 'mxfp4'];
/** Products that are summed in f16. */
const RUN = 16;
/** Below this, f16 may be flushed to zero. */
const FLUSHED = 2 ** -14;

/** Of both operands, relative. */
function ofOperands(weightDtype: WeightDtype): number {
  return IN_HALVES.includes(weightDtype) ? HALF : 2 * HALF + HALF ** 2;
}

const ofHalves =
  (weightDtype: WeightDtype): ProductError =>
  ({ terms, a, b }) =>
    terms * ofOperands(weightDtype) + LEAST * (a.most * b.sum + b.most * a.sum);

/** Half a step of every value of a, times the sum of |b|, which is int8 already. */
const ofSteps: ProductError = ({ a, b }) => HALF_STEP * a.most * b.sum;

/** The power of two that brings the largest of a row to 2^top or more, and below twice that; f32 holds it. */
const powerTo = (top: number, most: number): number => 2 ** Math.min(126, top - Math.floor(Math.log2(most)));

/**
 * Both operands and sums of RUN terms in f16, by powers of two of rows: to 2^3 of a and 2^6 of floats of b; of values in few
 * bits the largest is 1 at least.
 */
const ofSums =
  (weightDtype: WeightDtype): ProductError =>
  ({ terms, depth, a, b }) => {
    if (a.most === 0 || b.most === 0) return 0;
    const isFloat = weightDtype === 'f32' || weightDtype === 'f16' || weightDtype === 'bf16';
    const leastA = FLUSHED / powerTo(3, a.most);
    const unitB = isFloat ? 1 / powerTo(6, b.most) : b.most;
    const relative = (1 + ofOperands(weightDtype)) * (1 + gamma(RUN, HALF)) - 1;
    return terms * relative + leastA * (b.sum + depth * unitB) + FLUSHED * unitB * a.sum;
  };

/** By how much a product may be off since it is rounded in this way. A row with Inf or NaN is not rounded. */
export function roundingError(to: Rounding, weightDtype: WeightDtype): ProductError {
  const error = { f16: ofHalves(weightDtype), 'f16 sums': ofSums(weightDtype), int8: ofSteps }[to];
  return (of) => (Number.isFinite(of.a.most) && Number.isFinite(of.b.most) ? error(of) : 0);
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

/** By how much each element of a b^T, [M, N], may be off. */
export function ofRounding(
  to: Rounding,
  { a, b, size, weightDtype, magnitude }: RoundedProduct,
): Float64Array {
  const { m, n, k: depth } = size;
  const sizes = (values: Float64Array, rows: number): RowSize[] =>
    range(rows).map((row) => rowSize(values, row * depth, depth));
  const [rowsA, rowsB] = [sizes(a, m), sizes(b, n)];
  const error = roundingError(to, weightDtype);
  return magnitude.map((terms, i) =>
    error({ terms, depth, a: at(rowsA, Math.floor(i / n)), b: at(rowsB, i % n) }),
  );
}
