/** Comparison where values leave their format. */
import { expect, test } from 'vitest';
import { compare } from '../../src/tensor/compare.ts';

const per = (...allowed: number[]): { perElement: Float64Array } => ({
  perElement: Float64Array.from(allowed),
});
const passes = (got: number, want: number, allowed: number, overflows = 0): boolean =>
  compare([got], [want], [1], { ...per(allowed), overflows: Uint8Array.of(overflows) }).pass;

test('infinities are equal to themselves and to nothing else, under any budget', () => {
  for (const infinite of [Infinity, -Infinity]) {
    expect(passes(infinite, infinite, 0)).toBe(true);
    expect(passes(infinite, infinite, NaN)).toBe(false);
    for (const allowed of [0, 1e300, Infinity]) {
      expect(passes(infinite, -infinite, allowed)).toBe(false);
      expect(passes(infinite, 65520, allowed)).toBe(false);
      expect(passes(65504, infinite, allowed)).toBe(false);
    }
  }
});

test('where a value may overflow, Infinity of its own sign passes', () => {
  expect(passes(Infinity, 65520, 32, 1)).toBe(true);
  expect(passes(65504, 65520, 32, 1)).toBe(true);
  expect(passes(-Infinity, 65520, 32, 1)).toBe(false);
  expect(passes(NaN, 65520, 32, 1)).toBe(false);
  expect(passes(60000, 65520, 32, 1)).toBe(false);
  expect(compare([Infinity], [65520], [1], { atol: 1e6, rtol: 0 }).pass).toBe(false);
});
