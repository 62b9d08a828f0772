/** What passes a comparison: nothing that is not shown to be near, whatever its shape or length. */
import fc from 'fast-check';
import { describe as suite, expect, test } from 'vitest';
import { product } from '../../src/core/math.ts';
import { compare, describe, gamma, unravel } from '../../src/tensor/compare.ts';

const near = { atol: 0.1, rtol: 0 };

suite('an element passes only when its error is shown to be within the budget', () => {
  test.each([
    ['on it', 1.125, 1, { atol: 0.125, rtol: 0 }, true],
    ['beyond it', 1.2, 1, near, false],
    ['NaN for a number', NaN, 1, near, false],
    ['a number for NaN', 1, NaN, near, false],
    ['NaN for NaN', NaN, NaN, near, false],
    ['Infinity for a number', Infinity, 1, near, false],
    ['minus Infinity for Infinity', -Infinity, Infinity, near, false],
    ['a share of a large value', 1100, 1000, { atol: 0, rtol: 0.1 }, true],
    ['a share of a small value', 0.2, 0.1, { atol: 0, rtol: 0.1 }, false],
    ['a share of a negative value', -1100, -1000, { atol: 0, rtol: 0.1 }, true],
    ['a budget that is no number', 1, 1, { atol: NaN, rtol: 0 }, false],
  ])('%s', (_what, got, want, budget, pass) => {
    expect(compare([got], [want], [1], budget).pass).toBe(pass);
  });

  test('each with its own budget', () => {
    const budget = { perElement: Float64Array.of(0.01, 1) };
    expect(compare([1.5, 2.5], [1, 2], [2], budget)).toMatchObject({ pass: false, over: 1, worstIndex: [0] });
    expect(compare([1, 2.5], [1, 2], [2], budget).pass).toBe(true);
  });
});

test.each([
  ['longer', [1, 2, 3]],
  ['shorter', [1]],
  ['empty', []],
])('a result that is %s fails whole', (_what, got) => {
  const found = compare(got, [1, 2], [2], { atol: Infinity, rtol: 0 });
  expect(found).toMatchObject({ pass: false, over: 2, worstShare: Infinity });
  expect(describe('y', found)).toBe("y: the number of elements differs from the reference's 2");
});

test('nothing equals nothing', () => {
  expect(compare([], [], [0], near)).toMatchObject({ pass: true, over: 0, worstShare: 0 });
});

test('the worst element is named by its place and by its share of the budget', () => {
  const got = [0, 0, 0, 0, 0, 0.5];
  const found = compare(got, Array<number>(6).fill(0), [2, 3], near);
  expect(found).toMatchObject({ worstIndex: [1, 2], got: 0.5, want: 0, worstShare: 5 });
  expect(describe('y', found)).toBe('y: 1 of 6 over budget; worst [1, 2] got 0.5 want 0, 5.00x budget');
  expect(compare([0.05, NaN], [0, 0], [2], near)).toMatchObject({ worstIndex: [1], worstShare: Infinity });
});

test('unravel is the inverse of the row-major order', () => {
  expect(unravel(7, [2, 5])).toEqual([1, 2]);
  const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(shapes, fc.nat(), (shape, n) => {
      const index = n % product(shape);
      const place = unravel(index, shape);
      expect(place.reduce((at, i, d) => at * (shape[d] ?? 1) + i, 0)).toBe(index);
      place.forEach((i, d) => expect(i).toBeLessThan(shape[d] ?? 0));
    }),
  );
});

test('gamma: n roundings and a little more', () => {
  expect(gamma(1) / 2 ** -24).toBeCloseTo(1, 6);
  expect(gamma(2 ** 23)).toBeCloseTo(1);
  expect(gamma(3, 2 ** -11)).toBeCloseTo((3 * 2 ** -11) / (1 - 3 * 2 ** -11));
});

test('gamma: a bound for any number of roundings, never negative', () => {
  const counts = [0, 1, 2 ** 22, 2 ** 23, 2 ** 23 + 1, 2 ** 24 - 1, 2 ** 24, 2 ** 25, 2 ** 30, 2 ** 40];
  const bounds = counts.map((n) => gamma(n));
  bounds.forEach((bound, i) => expect(bound).toBeGreaterThanOrEqual(bounds[i - 1] ?? 0));
  // e^2 - 1
  expect(gamma(2 ** 25)).toBeCloseTo(Math.E ** 2 - 1, 5);
  expect(gamma(2 ** 40)).toBe(Infinity);
});

test('a budget without an end passes nothing but what is right to the bit', () => {
  const budget = { perElement: new Float64Array([Infinity, Infinity]) };
  expect(compare([1, 2], [1, 2], [2], budget).pass).toBe(true);
  const wrong = compare([1, 2.5], [1, 2], [2], budget);
  expect([wrong.pass, wrong.over, wrong.worstIndex]).toEqual([false, 1, [1]]);
});
