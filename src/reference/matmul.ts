/** y = a b^T. M rows, N outputs, K inputs; weights lie as files store them, rows are outputs. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { invariant } from '../core/errors.ts';
import { absDot, dot } from './f64.ts';

export interface MatmulSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Products of one piece, see `piecewise`. */
const PIECE = 2 ** 18;

/** y[i, j] = sum over k of a[i, k] b[j, k]. a [M, K], b [N, K] -> y [M, N]. */
export const matmul = piecewise((a_MK: Float64Array, b_NK: Float64Array, size: MatmulSize) =>
  pairs(a_MK, b_NK, size, dot),
);

/**
 * sum over k of |a[i, k]| |b[j, k]|, [M, N]. A product in any order of summation with unit roundoff u is off by at
 * most gamma(K, u) times this.
 */
export const matmulMagnitude = piecewise((a_MK: Float64Array, b_NK: Float64Array, size: MatmulSize) =>
  pairs(a_MK, b_NK, size, absDot),
);

function* pairs(a: Float64Array, b: Float64Array, size: MatmulSize, of: typeof dot): Pieces<Float64Array> {
  const { m, n, k } = size;
  invariant(a.length === m * k, () => `matmul: a has ${a.length} elements, [${m}, ${k}] needs ${m * k}`);
  invariant(b.length === n * k, () => `matmul: b has ${b.length} elements, [${n}, ${k}] needs ${n * k}`);
  const y = new Float64Array(m * n);
  const columns = Math.max(1, Math.floor(PIECE / Math.max(1, k)));
  for (let i = 0; i < m; i++) {
    for (let first = 0; first < n; first += columns) {
      fillRow(y, i, first, Math.min(n, first + columns), a, b, size, of);
      yield;
    }
  }
  return y;
}

/** Row i of y, from one column to another. */
function fillRow(
  y: Float64Array,
  i: number,
  first: number,
  end: number,
  a: Float64Array,
  b: Float64Array,
  { n, k }: MatmulSize,
  of: typeof dot,
): void {
  for (let j = first; j < end; j++) y[i * n + j] = of(a, i * k, b, j * k, k);
}
