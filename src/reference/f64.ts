/**
 * Float64 building blocks of the reference. Everything here is written for reading; the one concession to speed is
 * an accessor of its own, since the generic `at` has seen every kind of array and the engine makes it slow.
 */

/** The element at `index`, which the caller knows to exist. */
export function f64At(values: Float64Array, index: number): number {
  return values[index] as number;
}

/** Sum of a[aStart + i] b[bStart + i] for i < n, in four interleaved sums. */
export function dot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, n: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < n; i += 4) {
    s0 += f64At(a, aStart + i) * f64At(b, bStart + i);
    s1 += f64At(a, aStart + i + 1) * f64At(b, bStart + i + 1);
    s2 += f64At(a, aStart + i + 2) * f64At(b, bStart + i + 2);
    s3 += f64At(a, aStart + i + 3) * f64At(b, bStart + i + 3);
  }
  for (; i < n; i++) s0 += f64At(a, aStart + i) * f64At(b, bStart + i);
  return s0 + s1 + (s2 + s3);
}

/** Sum of |a[aStart + i]| |b[bStart + i]|: what a dot product's error bound is made of. */
export function absDot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.abs(f64At(a, aStart + i) * f64At(b, bStart + i));
  return sum;
}

/** a + b, element by element. */
export function add(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + f64At(b, i));
}
