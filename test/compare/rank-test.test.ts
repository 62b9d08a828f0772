import { expect, test } from 'vitest';
import fc from 'fast-check';
import { ConfigError } from '../../src/core/errors.ts';
import { rankTest } from '../../src/compare/rank-test.ts';
// scipy.stats.mannwhitneyu(method='exact') and permutation_test, where they can be had; scipy's numbers to the last digit.
import golden from './rank-test-scipy.json' with { type: 'json' };

test('by hand: 2 of 20 ways are as far out, and ties have the rank between them', () => {
  expect(rankTest([1, 2, 3], [4, 5, 6])).toEqual({ u: 0, p: 0.1 });
  // Ranks 1, 2.5, 2.5, 4; of 6 ways the sum 3.5 is the least of two, so p = 2 * 2 / 6.
  expect(rankTest([1, 2], [2, 3])).toEqual({ u: 0.5, p: 2 / 3 });
  expect(rankTest([7], [7])).toEqual({ u: 0.5, p: 1 });
});

test('91 cases of scipy: U, the exact p without ties, and that of all permutations with them', () => {
  expect(golden).toHaveLength(91);
  let compared = 0;
  for (const { kind, a, b, U, exact, perm } of golden) {
    const { u, p } = rankTest(a, b);
    expect(u, kind).toBe(U);
    for (const known of [exact, perm]) {
      if (known === null) continue;
      compared++;
      expect(Math.abs(p - known), `${kind} ${a.join()} | ${b.join()}`).toBeLessThan(1e-12);
    }
  }
  expect(compared).toBeGreaterThan(91);
});

test('sides change places without changing p, and order within a side does not matter', () => {
  const side = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(side, side, (a, b) => {
      const { u, p } = rankTest(a, b);
      const other = rankTest([...b].reverse(), a);
      expect(other.p).toBeCloseTo(p, 13);
      expect(other.u + u).toBe(a.length * b.length);
      expect(p).toBeGreaterThan(0);
    }),
  );
});

test('no value, and a value that is no number', () => {
  expect(() => rankTest([], [1])).toThrow(ConfigError);
  expect(() => rankTest([1], [NaN])).toThrow(ConfigError);
});
