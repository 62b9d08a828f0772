/** The few numbers that stand for many samples. */
import { describe, expect, test } from 'vitest';
import { range, sum } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { intervalRank, relativeHalfWidth, summarise } from '../../src/measure/statistics.ts';

test('summarise: the example in its comment', () => {
  expect(summarise([3, 1, 2])).toMatchObject({
    count: 3,
    median: 2,
    low: 1,
    high: 3,
    min: 1,
    max: 3,
    mad: 1,
  });
});

test('a single sample is its own interval', () => {
  expect(summarise([7])).toMatchObject({ count: 1, median: 7, low: 7, high: 7, mad: 0 });
});

test('no samples are a fault, not a zero', () => {
  expect(() => summarise([])).toThrow(/no samples/);
});

test('one outlier moves neither the median nor the interval of many', () => {
  const samples = range(20).map((i) => 100 + i);
  const with_ = summarise([...samples.slice(1), 1e9]);
  expect(with_.median).toBe(110.5);
  expect(with_.high).toBeLessThan(120);
});

describe('intervalRank', () => {
  test.each([
    [1, 0],
    [5, 0],
    [6, 0],
    [9, 1],
    [20, 5],
    [100, 39],
  ])('of %i samples leaves out %i at either end', (n, rank) => {
    expect(intervalRank(n)).toBe(rank);
  });

  test('the interval holds the median of a skewed distribution about as often as it says', () => {
    const random = seededRandom(1);
    const hits = range(2000).map(() => {
      const samples = range(15).map(() => Math.exp(random.normal()));
      const { low, high } = summarise(samples);
      return Number(low <= 1 && 1 <= high);
    });
    expect(sum(hits) / hits.length).toBeGreaterThan(0.94);
  });
});

test('relative half width: 90 to 110 about 100 is 10 %', () => {
  expect(relativeHalfWidth({ ...summarise([100]), low: 90, high: 110 })).toBeCloseTo(0.1);
  expect(relativeHalfWidth(summarise([0, 0]))).toBe(0);
});
