/** y = a b^T. M rows, N outputs, K inputs; weights lie as files store them, rows are outputs. */
import { invariant } from '../core/errors.ts';
import { absDot, dot } from './f64.ts';

export interface MatmulSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** y[i, j] = sum over k of a[i, k] b[j, k]. a [M, K], b [N, K] -> y [M, N]. */
export function matmul(a_MK: Float64Array, b_NK: Float64Array, size: MatmulSize): Float64Array {
  return pairs(a_MK, b_NK, size, dot);
}

/**
 * sum over k of |a[i, k]| |b[j, k]|, [M, N]. A product in any order of summation with unit roundoff u is off by at
 * most gamma(K, u) times this.
 */
export function matmulMagnitude(a_MK: Float64Array, b_NK: Float64Array, size: MatmulSize): Float64Array {
  return pairs(a_MK, b_NK, size, absDot);
}

function pairs(a: Float64Array, b: Float64Array, size: MatmulSize, of: typeof dot): Float64Array {
  const { m, n, k } = size;
  invariant(a.length === m * k, () => `matmul: a has ${a.length} elements, [${m}, ${k}] needs ${m * k}`);
  invariant(b.length === n * k, () => `matmul: b has ${b.length} elements, [${n}, ${k}] needs ${n * k}`);
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) y[i * n + j] = of(a, i * k, b, j * k, k);
  }
  return y;
}
