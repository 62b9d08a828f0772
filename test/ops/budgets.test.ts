/** How far a result may be off: by roundings of f32, one more in f16, and Infinity beyond the range of either. */
import { expect, test } from 'vitest';
import { budgetOf } from '../../src/ops/budgets.ts';
import { compare, gamma } from '../../src/tensor/compare.ts';

const passes = (
  got: number,
  want: number,
  dtype: 'f32' | 'f16',
  { magnitude = want, roundings = 0 } = {},
): boolean => {
  const budget = budgetOf(Float64Array.of(magnitude), roundings, dtype, Float64Array.of(want));
  return compare([got], [want], [1], budget).pass;
};

test('f32: n roundings of what the error scales with', () => {
  const budget = budgetOf(Float64Array.of(8), 100);
  if (!('perElement' in budget)) throw new Error('no budget per element');
  expect(budget.perElement[0]).toBeCloseTo(8 * gamma(100), 12);
  expect(passes(1 + 2 ** -23, 1, 'f32', { roundings: 1 })).toBe(false);
  expect(passes(1 + 2 ** -24, 1, 'f32', { roundings: 1 })).toBe(true);
});

test('f16: half a step of a value beside it, and no whole one', () => {
  for (const scale of [2 ** -10, 1, 1024, 32768]) {
    for (const want of [scale, 1.5 * scale, 1.999 * scale]) {
      expect(passes(want + scale * 2 ** -11, want, 'f16')).toBe(true);
      expect(passes(want + scale * 2 ** -9.9, want, 'f16')).toBe(false);
    }
  }
  // Below 2^-14 steps are 2^-24.
  expect(passes(2 ** -25, 0, 'f16')).toBe(true);
  expect(passes(2 ** -24, 0, 'f16')).toBe(false);
});

test('Infinity is right from half a step beyond the largest number on', () => {
  const beyond = 2 ** 128 - 2 ** 103;
  for (const sign of [1, -1]) {
    expect(passes(sign * Infinity, sign * 65520, 'f16')).toBe(true);
    expect(passes(sign * Infinity, sign * 1e30, 'f16')).toBe(true);
    expect(passes(sign * Infinity, sign * 65519, 'f16')).toBe(false);
    expect(passes(sign * Infinity, sign * 65504, 'f16')).toBe(false);
    expect(passes(sign * 65504, sign * 65519, 'f16')).toBe(true);
    expect(passes(-sign * Infinity, sign * 65520, 'f16')).toBe(false);
    expect(passes(sign * Infinity, sign * 65520, 'f32')).toBe(false);
    expect(passes(sign * Infinity, sign * beyond, 'f32')).toBe(true);
    expect(passes(sign * Infinity, sign * 3.4e38, 'f32')).toBe(false);
    expect(passes(sign * 3.4e38, sign * 1e39, 'f32')).toBe(false);
  }
  // A sum that may be off by 100 may be beyond.
  expect(passes(Infinity, 65450, 'f16', { magnitude: 1e9, roundings: 2 })).toBe(true);
  expect(passes(Infinity, 65300, 'f16', { magnitude: 1e9, roundings: 2 })).toBe(false);
});
