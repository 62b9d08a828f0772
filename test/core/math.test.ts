import { expect, test } from 'vitest';
import { divisorsOf, maxOf, minOf, nearestDivisor, range } from '../../src/core/math.ts';

test('divisors are those that divide', () => {
  for (const n of range(200).map((i) => i + 1)) {
    expect(divisorsOf(n)).toEqual(range(n).map((i) => i + 1).filter((d) => n % d === 0)); // prettier-ignore
  }
  expect(nearestDivisor(12, 5)).toBe(4);
});

test('the divisors of a number that no list could hold', () => {
  expect(divisorsOf(2 ** 32)).toEqual(range(33).map((i) => 2 ** i));
  expect(divisorsOf(2 ** 53 - 1)).toEqual([1, 6361, 1416003655831, 2 ** 53 - 1]);
  expect(nearestDivisor(9e15, 7)).toBe(6);
});

test('the largest and the smallest of more than fit the arguments of a call', () => {
  const many = range(300_000);
  expect([maxOf(many), minOf(many), maxOf(many, 1e6)]).toEqual([299_999, 0, 1e6]);
  expect([maxOf([]), minOf([]), maxOf([], 0)]).toEqual([-Infinity, Infinity, 0]);
  expect([maxOf([1, NaN, 2]), minOf([1, NaN, 2])]).toEqual([NaN, NaN]);
});
