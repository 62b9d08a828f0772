/**
 * Float64 building blocks of the reference. Everything here is written for reading; the one concession to speed is
 * an accessor of its own, since the generic `at` has seen every kind of array and the engine makes it slow. Inner
 * loops live in this file, beside it.
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

/** y[yStart + i] += factor x[xStart + i] for i < n. */
export function addScaled(
  y: Float64Array,
  yStart: number,
  factor: number,
  x: Float64Array,
  xStart: number,
  n: number,
): void {
  for (let i = 0; i < n; i++) y[yStart + i] = f64At(y, yStart + i) + factor * f64At(x, xStart + i);
}

/** exp(x - max) / sum, over each row of `width`. A row of -Infinity alone gives NaN. */
export function softmax(x: Float64Array, width: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += width) {
    let max = -Infinity;
    for (let i = 0; i < width; i++) max = Math.max(max, f64At(x, row + i));
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const e = Math.exp(f64At(x, row + i) - max);
      y[row + i] = e;
      sum += e;
    }
    for (let i = 0; i < width; i++) y[row + i] = f64At(y, row + i) / sum;
  }
  return y;
}
