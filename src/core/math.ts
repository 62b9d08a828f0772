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

/** The largest of all, however many there are, and at least `least`; NaN when one is NaN. */
export function maxOf(values: Iterable<number>, least = -Infinity): number {
  let most = least;
  for (const v of values) most = Math.max(most, v);
  return most;
}

/** The smallest of all, however many there are; Infinity for none, NaN when one is NaN. */
export function minOf(values: Iterable<number>): number {
  let least = Infinity;
  for (const v of values) least = Math.min(least, v);
  return least;
}

/** [0, 1, ... n-1] */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** Divisors are tried up to here: of n up to its square all are found, of a larger n those with a small cofactor too. A guess. */
const MOST_TRIALS = 2 ** 16;

/** All divisors of n in ascending order: divisorsOf(12) = [1, 2, 3, 4, 6, 12]. For n up to 2^32; beyond, see `MOST_TRIALS`. */
export function divisorsOf(n: number): number[] {
  const small: number[] = [];
  const large: number[] = [];
  for (let d = 1; d <= MOST_TRIALS && d * d <= n; d++) {
    if (n % d !== 0) continue;
    small.push(d);
    if (d * d !== n) large.push(n / d);
  }
  return [...small, ...large.reverse()];
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
