import { expect, test } from 'vitest';
import { argmaxRow, crossEntropySum, embedding } from '../../src/reference/embedding.ts';
import { f64 } from './arrays.ts';

test('embedding copies rows', () => {
  expect(embedding(f64(1, 2, 3, 4, 5, 6), [2, 0, 2], 2)).toEqual(f64(5, 6, 1, 2, 5, 6));
  expect(() => embedding(f64(1, 2), [1], 2)).toThrow(/Token id 1 at position 0 is not in 0 \.\. 0/);
  expect(() => embedding(f64(1, 2), [-1], 2)).toThrow(/Token id -1/);
  expect(() => embedding(f64(1, 2), [0.5], 2)).toThrow(/Token id 0\.5/);
});

test('argmaxRow: ties to the lower index', () => {
  expect(argmaxRow(f64(0, 9, 9, 5, 1, 2), 0, 3)).toBe(1);
  expect(argmaxRow(f64(0, 9, 9, 5, 1, 2), 1, 3)).toBe(0);
});

test('crossEntropySum: ln 2 for a coin, ln 4 - ln 3 for the likelier of 1 : 3', () => {
  const logits = f64(7, 7, 0, Math.log(3));
  expect(crossEntropySum(logits, [0], 2)).toBeCloseTo(Math.log(2), 14);
  expect(crossEntropySum(logits, [1, 1], 2)).toBeCloseTo(Math.log(2) + Math.log(4 / 3), 14);
  expect(crossEntropySum(f64(5000, 0), [0], 2)).toBe(0);
});
