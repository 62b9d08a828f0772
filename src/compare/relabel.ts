/**
 * What chance does to many rows at once: runs are called "a" and "b" anew, the same way for all rows, so that rows that
 * stand and fall together are not taken for independent ones. Two uses: p-values that hold for all rows together, and the
 * share of rows that a comparison names although nothing differs.
 */
import { at, range, sum } from '../core/math.ts';
import type { Random } from '../core/random.ts';
import { median } from '../measure/statistics.ts';

/** One row: a value per run, those of side a first, in the same order of runs for every row. */
export type Row = readonly number[];

/** All ways when they are not more than this, else as many drawn ones. A guess. */
const MOST_WAYS = 1000;

/** The places of side a, way by way: the one that was run comes first. */
export function relabellings(countA: number, count: number, random: Random): number[][] {
  const own = range(countA);
  if (choose(count, countA) > MOST_WAYS) {
    return [own, ...range(MOST_WAYS - 1).map(() => sample(count, countA, random))];
  }
  const all: number[][] = [];
  const extend = (places: readonly number[]): void => {
    if (places.length === countA) return void all.push([...places]);
    for (let i = (places.at(-1) ?? -1) + 1; i < count; i++) extend([...places, i]);
  };
  extend([]);
  return all;
}

function choose(n: number, k: number): number {
  return range(k).reduce((ways, i) => (ways * (n - i)) / (i + 1), 1);
}

function sample(count: number, wanted: number, random: Random): number[] {
  const left = range(count);
  return range(wanted)
    .map(() => at(left.splice(random.integer(left.length), 1), 0))
    .sort((i, j) => i - j);
}

/** Values of both sides, as a way calls them. */
function sides(row: Row, isA: ReadonlySet<number>): [a: number[], b: number[]] {
  return [row.filter((_, i) => isA.has(i)), row.filter((_, i) => !isA.has(i))];
}

/** Against rows that hardly vary by chance: a tenth of a percent. A guess. */
const LEAST_DEVIATION = 1e-3;

/** Student's t of the logarithms, without its sign. */
function distance(row: Row, isA: ReadonlySet<number>): number {
  const [a, b] = sides(row, isA);
  const mean = (values: readonly number[]): number => sum(values) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const squares = sum(a.map((x) => (x - meanA) ** 2)) + sum(b.map((x) => (x - meanB) ** 2));
  const variance = squares / Math.max(1, row.length - 2) + LEAST_DEVIATION ** 2;
  return Math.abs(meanA - meanB) / Math.sqrt(variance * (1 / a.length + 1 / b.length));
}

/**
 * p-values of all rows together: the chance that any row differs by mistake is at most p (step-down maxT; Westfall and
 * Young 1993, algorithm 2.8). Holm's would need 7 runs a side for 49 rows, whatever the difference; this needs 5.
 * @param rows logarithms of times. @param ways from `relabellings`.
 */
export function jointPValues(rows: readonly Row[], ways: readonly (readonly number[])[]): number[] {
  const own = new Set(at(ways, 0));
  const found = rows.map((row) => distance(row, own));
  const order = range(rows.length).sort((i, j) => at(found, j) - at(found, i));
  const exceeding = rows.map(() => 0);
  for (const places of ways) {
    const isA = new Set(places);
    let highest = -Infinity;
    for (const i of [...order].reverse()) {
      highest = Math.max(highest, distance(at(rows, i), isA));
      // Rounding must not make a way less far out than itself.
      if (highest >= at(found, i) * (1 - 1e-12)) exceeding[i] = at(exceeding, i) + 1;
    }
  }
  const p = rows.map(() => 1);
  let least = 0;
  for (const i of order) {
    least = Math.max(least, at(exceeding, i) / ways.length);
    p[i] = least;
  }
  return p;
}

/** Holm (1979): the smallest p times the number of rows, the next times one less, never falling. */
export function holm(p: readonly number[]): number[] {
  const order = range(p.length).sort((i, j) => at(p, i) - at(p, j));
  const adjusted = p.map(() => 1);
  let least = 0;
  order.forEach((i, rank) => {
    least = Math.min(1, Math.max(least, at(p, i) * (p.length - rank)));
    adjusted[i] = least;
  });
  return adjusted;
}

/**
 * Share of rows that `isNamed` names when sides are dealt anew, after what differs between them has been taken out.
 * Undefined for no row, and where there is no other way to deal.
 */
export function falseAlarms(
  rows: readonly Row[],
  countA: number,
  ways: readonly (readonly number[])[],
  isNamed: (a: readonly number[], b: readonly number[], row: number) => boolean,
): number | undefined {
  const others = ways.slice(1);
  if (rows.length === 0 || others.length === 0) return undefined;
  const centred = rows.map((row) => {
    const [a, b] = [row.slice(0, countA), row.slice(countA)].map((side) => {
      const centre = median(side);
      return side.map((value) => value - centre);
    });
    return [...(a ?? []), ...(b ?? [])];
  });
  let named = 0;
  for (const places of others) {
    const isA = new Set(places);
    centred.forEach((row, i) => {
      const [a, b] = sides(row, isA);
      if (isNamed(a, b, i)) named += 1;
    });
  }
  return named / (rows.length * others.length);
}
