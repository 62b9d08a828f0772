/** Helpers of the reference's tests. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { at } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';

export const f64 = (...values: number[]): Float64Array => Float64Array.from(values);

export function normals(seed: number, count: number): Float64Array {
  const random = seededRandom(seed);
  return Float64Array.from({ length: count }, () => random.normal());
}

/** Equal to the last few bits of a float64. */
export function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, allowed = 1e-12): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const err = Math.abs(at(got, i) - at(want, i));
    expect(err <= allowed, `element ${i}: got ${at(got, i)}, want ${at(want, i)}`).toBe(true);
  }
}

/** Checks that `got` differs from `want` by at most `factor * magnitude`, element by element. */
export function expectWithin(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  magnitude: ArrayLike<number>,
  factor: number,
): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const err = Math.abs(at(got, i) - at(want, i));
    expect(err <= factor * at(magnitude, i), `element ${i}: ${err} over ${factor * at(magnitude, i)}`).toBe(
      true,
    );
  }
}

/** Each value rounded to f32. */
export const rounded = (values: Float64Array): Float64Array => values.map(Math.fround);

export const anySeed = fc.integer({ min: 0, max: 1e6 });
