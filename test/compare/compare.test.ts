import { describe, expect, test } from 'vitest';
import { compareRuns } from '../../src/compare/compare.ts';
import { leastEffect, wordFor } from '../../src/compare/decide.ts';
import { effectOf } from '../../src/compare/effect.ts';
import { falseAlarms, holm, jointPValues, relabellings } from '../../src/compare/relabel.ts';
import type { Run } from '../../src/compare/units.ts';
import { at, range, sum } from '../../src/core/math.ts';
import { seededRandom, type Random } from '../../src/core/random.ts';

const ROUNDS = 9;

interface Planted {
  readonly rows: number;
  /** Standard deviation of runs and of rounds, of the logarithm. */
  readonly spread: number;
  /** What row 0 takes longer in B. */
  readonly slowdown?: number;
}

/** Runs as they are: each has a speed of its own, each row in it another, and rounds vary about that. */
function runs(
  side: 'a' | 'b',
  count: number,
  { rows, spread, slowdown = 1 }: Planted,
  random: Random,
): Run[] {
  return range(count).map((i) => {
    const speed = random.normal(spread / 3);
    const samples = (row: number): number[] => {
      const own = Math.log(1000 * (row + 1)) + speed + random.normal(spread);
      const slow = row === 0 && side === 'b' ? Math.log(slowdown) : 0;
      return range(ROUNDS).map(() => Math.exp(own + slow + random.normal(spread / 2)));
    };
    return {
      ...{ label: `${side}${i}.json`, adapter: 'x', driver: 'd', clock: 'gpu', scope: 'bench' },
      rows: new Map(range(rows).map((row) => [`row ${row}`, { shape: '1', samplesNs: samples(row) }])),
    };
  });
}

const sides = (count: number, planted: Planted, seed: number): [Run[], Run[]] => {
  const random = seededRandom(seed);
  return [runs('a', count, planted, random), runs('b', count, planted, random)];
};
const named = (word: string): boolean => word === 'faster' || word === 'slower';

describe('twenty comparisons of 5 runs a side', () => {
  test('of the same code name at most 5 % of rows, and say so of themselves', () => {
    let count = 0;
    let certain = 0;
    for (const seed of range(20)) {
      const found = compareRuns(...sides(5, { rows: 20, spread: 0.04 }, seed));
      expect(found).toMatchObject({ unit: 'run', weak: false });
      count += found.rows.filter(({ word }) => named(word)).length;
      certain += found.rows.some((row) => row.certain) ? 1 : 0;
      expect(found.falseAlarms).toBeLessThanOrEqual(0.05);
      expect(found.falseAlarms).toBeGreaterThan(0);
    }
    expect(count / (20 * 20)).toBeLessThanOrEqual(0.05);
    // By 5 % each: more than four of twenty has a chance of 0.3 %.
    expect(certain).toBeLessThanOrEqual(4);
  });

  test('find a kernel that takes 10 % longer where runs spread by 3 %', () => {
    const found = range(20).filter((seed) => {
      const { rows } = compareRuns(...sides(5, { rows: 20, spread: 0.03, slowdown: 1.1 }, 100 + seed));
      return rows[0]?.word === 'slower';
    });
    expect(found.length).toBeGreaterThanOrEqual(19);
  });

  test('and where they spread by 20 % never call it the same', () => {
    const words = range(20).map((seed) => {
      const { rows } = compareRuns(...sides(5, { rows: 10, spread: 0.2, slowdown: 1.1 }, 200 + seed));
      return rows[0]?.word;
    });
    expect(words).not.toContain('same');
    expect(words.filter((word) => word === 'ambiguous').length).toBeGreaterThan(10);
  });
});

test('code that is the same in calm runs is called so', () => {
  const { rows } = compareRuns(...sides(7, { rows: 10, spread: 0.002 }, 7));
  expect(rows.map(({ word }) => word)).toEqual(range(10).map(() => 'same'));
});

test('fewer than 5 runs a side: rounds are the unit, and the comparison is weak', () => {
  const found = compareRuns(...sides(1, { rows: 3, spread: 0.01, slowdown: 1.5 }, 1));
  expect(found).toMatchObject({ unit: 'round', weak: true, falseAlarms: null });
  expect(found.rows[0]).toMatchObject({ word: 'slower', certain: false });
});

test('the ratio is the median of those of all pairs, and its interval holds it', () => {
  // Pairs: 2/1, 4/1, 2/2, 4/2: the median of 1, 2, 2, 4.
  const effect = effectOf([1, 2], [2, 4], seededRandom(1));
  expect(effect.ratio).toBeCloseTo(2, 12);
  expect(effect.low).toBeLessThanOrEqual(2);
  expect(effect.high).toBeGreaterThanOrEqual(2);
});

test('words by hand', () => {
  const effect = (ratio: number, low: number, high: number) => ({ ratio, low, high });
  expect(wordFor(effect(1.1, 1.05, 1.15), 0.01, 0.02)).toBe('slower');
  expect(wordFor(effect(0.9, 0.85, 0.95), 0.01, 0.02)).toBe('faster');
  expect(wordFor(effect(1.1, 1.05, 1.15), 0.06, 0.02)).toBe('ambiguous');
  // Beyond doubt, and of no use.
  expect(wordFor(effect(1.01, 1.005, 1.015), 0.01, 0.02)).toBe('same');
  expect(wordFor(effect(1.01, 0.99, 1.03), 0.5, 0.02)).toBe('ambiguous');
  // A row that differs from itself by 30 % is never the same as another.
  expect(wordFor(effect(1, 0.99, 1.01), 0.9, 0.3)).toBe('ambiguous');
  expect(wordFor(effect(NaN, NaN, NaN), NaN, 0.02)).toBe('ambiguous');
});

test('the smallest effect is 2 %, or what odd and even rounds differ by', () => {
  expect(leastEffect([[100, 100, 100, 100]])).toBe(0.02);
  expect(leastEffect([[100, 110, 100, 110]])).toBeCloseTo(0.1, 12);
  expect(leastEffect([[100, 200]])).toBe(0.02);
});

test('Holm by hand, and 252 ways to deal 5 of 10', () => {
  [0.03, 0.06, 0.06].forEach((p, i) => expect(at(holm([0.01, 0.04, 0.03]), i)).toBeCloseTo(p, 12));
  const ways = relabellings(5, 10, seededRandom(1));
  expect(ways).toHaveLength(252);
  expect(ways[0]).toEqual([0, 1, 2, 3, 4]);
  expect(new Set(ways.map(String)).size).toBe(252);
  expect(relabellings(10, 20, seededRandom(1))).toHaveLength(1000);
});

test('p for all rows: one row that is wholly apart has 2 of 252 ways, whatever the others do', () => {
  const apart = [0, 0.01, 0.02, 0.03, 0.04, 1, 1.01, 1.02, 1.03, 1.04];
  const mixed = [0, 0.4, 0.1, 0.5, 0.2, 0.3, 0.05, 0.45, 0.15, 0.35];
  const [p, other] = jointPValues([apart, mixed, mixed], relabellings(5, 10, seededRandom(1)));
  expect(p).toBeCloseTo(2 / 252, 12);
  expect(other).toBeGreaterThan(0.5);
});

test('false alarms are of chance alone: what differs between the sides is taken out', () => {
  const ways = relabellings(3, 6, seededRandom(1));
  const mean = (values: readonly number[]): number => sum(values) / values.length;
  const isNamed = (a: readonly number[], b: readonly number[]): boolean => Math.abs(mean(a) - mean(b)) > 2;
  // As dealt they are 10 apart; however sides of -1, 0, 1 and -1, 0, 1 are dealt, at most 4 / 3.
  expect(falseAlarms([[9, 10, 11, -1, 0, 1]], 3, ways, isNamed)).toBe(0);
  // Ways that part 9 from -9 have means that are 6 apart.
  expect(falseAlarms([[9, 0, 0, -9, 0, 0]], 3, ways, isNamed)).toBeGreaterThan(0);
});
