import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matmul, matmulMagnitude } from '../../src/reference/matmul.ts';
import { gamma } from '../../src/tensor/compare.ts';
import { anySeed, expectClose, expectWithin, f64, normals, rounded } from './arrays.ts';

test('by hand: rows of b are outputs', () => {
  const a = f64(1, 2, 3, -1, 0, 1); // [2, 3]
  const b = f64(1, 1, 1, 0, 2, -1); // [2, 3]
  expect(matmul(a, b, { m: 2, n: 2, k: 3 })).toEqual(f64(6, 1, 0, -1));
  expect(matmulMagnitude(a, b, { m: 2, n: 2, k: 3 })).toEqual(f64(6, 7, 2, 1));
});

test('depths that are no multiple of four, and none at all', () => {
  for (const k of [1, 2, 3, 5, 7]) {
    const ones = new Float64Array(k).fill(1);
    expect(matmul(ones, ones, { m: 1, n: 1, k })).toEqual(f64(k));
  }
  expect(matmul(f64(), f64(), { m: 1, n: 1, k: 0 })).toEqual(f64(0));
});

test('sizes that do not fit are a fault', () => {
  expect(() => matmul(f64(1), f64(1, 2), { m: 1, n: 1, k: 2 })).toThrow(/a has 1 elements, \[1, 2\] needs 2/);
  expect(() => matmul(f64(1, 2), f64(1), { m: 1, n: 1, k: 2 })).toThrow(/b has 1 elements, \[1, 2\] needs 2/);
});

test('is bilinear', () => {
  fc.assert(
    fc.property(anySeed, fc.integer({ min: 1, max: 9 }), (seed, k) => {
      const size = { m: 3, n: 2, k };
      const [a, b] = [normals(seed, 3 * k), normals(seed + 1, 2 * k)];
      const twice = matmul(a, b, size).map((v) => 6 * v);
      expectClose(matmul(a.map((v) => 2 * v), b.map((v) => 3 * v), size), twice); // prettier-ignore
    }),
  );
});

test('a sum in f32 stays within gamma times the magnitude', () => {
  fc.assert(
    fc.property(anySeed, fc.integer({ min: 1, max: 60 }), (seed, k) => {
      const [a, b] = [rounded(normals(seed, k)), rounded(normals(seed + 1, k))];
      const got = a.reduce((sum, v, i) => Math.fround(sum + Math.fround(v * (b[i] ?? NaN))), 0);
      const size = { m: 1, n: 1, k };
      expectWithin([got], matmul(a, b, size), matmulMagnitude(a, b, size), gamma(k));
    }),
  );
});
