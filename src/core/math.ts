/** Integer arithmetic for shapes, grids and layouts. */

export function ceilDiv(a: number, b: number): number {
  return Math.ceil(a / b);
}

/** `value` raised to the next multiple of `step`. */
export function roundUp(value: number, step: number): number {
  return ceilDiv(value, step) * step;
}

/** Product of all elements; 1 for none, so the size of a scalar's shape is 1. */
export function product(values: readonly number[]): number {
  return values.reduce((a, b) => a * b, 1);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const v of values) total += v;
  return total;
}

/** [0, 1, ... n-1] */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** All divisors of n in ascending order: divisorsOf(12) = [1, 2, 3, 4, 6, 12]. */
export function divisorsOf(n: number): number[] {
  return range(n)
    .map((i) => i + 1)
    .filter((d) => n % d === 0);
}

/** The divisor of n that is nearest to `wanted` (the smaller of two equally near). */
export function nearestDivisor(n: number, wanted: number): number {
  let best = 1;
  for (const d of divisorsOf(n)) if (Math.abs(d - wanted) < Math.abs(best - wanted)) best = d;
  return best;
}

/** [0, n) cut into `parts` runs whose lengths differ by at most 1, the longer first. balancedRun(5, 2, 0) = [0, 3]. */
export function balancedRun(n: number, parts: number, index: number): [start: number, length: number] {
  const base = Math.floor(n / parts);
  const extra = n % parts;
  return [index * base + Math.min(index, extra), base + (index < extra ? 1 : 0)];
}

/** The element at `index`, which the caller knows to exist: the one place that silences the strict index flag. */
export function at<T>(values: ArrayLike<T>, index: number): T {
  // eslint-disable-next-line @typescript-eslint/no-non-null-assertion
  return values[index]!;
}
