/** The error that attention is allowed: enough for inputs off by a rounding, and never so much that it hides a wrong result. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { at } from '../../../src/core/math.ts';
import { seededRandom } from '../../../src/core/random.ts';
import { attentionError } from '../../../src/ops/attention/error.ts';
import { attention, type AttentionInput } from '../../../src/reference/attention.ts';
import { anySeed, expectWithin, f64, normals, rounded } from '../../reference/arrays.ts';

const random = (seed: number): AttentionInput => ({
  q: rounded(normals(seed, 2 * 3 * 4 * 4)),
  k: rounded(normals(seed + 1, 2 * 5 * 2 * 4)),
  v: rounded(normals(seed + 2, 2 * 5 * 2 * 4)),
  ...{ batch: 2, numQueries: 3, numKeys: 5, numHeads: 4, numKvHeads: 2, headDim: 4, causal: true },
});

/** One query and two keys, of scores 0 and `score`; values 1 and 3. */
const two = (score: number, more: Partial<AttentionInput> = {}): AttentionInput => ({
  ...{ q: f64(1), k: f64(0, score), v: f64(1, 3) },
  ...{ batch: 1, numQueries: 1, numKeys: 2, numHeads: 1, numKvHeads: 1, headDim: 1, causal: true },
  scale: 1,
  ...more,
});

test('inputs off by a rounding, with large scores and caps too, stay within it', () => {
  fc.assert(
    fc.property(anySeed, fc.constantFrom(1, 30, 1000), fc.constantFrom(0, 2, 50), (seed, scale, softcap) => {
      const exact = { ...random(seed), scale, softcap, sinks: normals(seed + 3, 4) };
      const coin = seededRandom(seed);
      const shake = (v: Float64Array): Float64Array =>
        v.map((x) => x * (1 + 2 ** -24 * Math.sign(coin.uniform() - 0.5)));
      const off = { ...exact, q: shake(exact.q), k: shake(exact.k), v: shake(exact.v) };
      expectWithin(attention(off), attention(exact), attentionError(exact), 1);
    }),
  );
});

test.each([
  ['scores far apart', two(1e30)],
  ['a cap far above the scores', two(1, { softcap: 1e30 })],
  ['a score of -Infinity', two(-Infinity)],
  ['a sink of -Infinity', two(1, { sinks: f64(-Infinity) })],
  ['an infinite score under a cap', two(Infinity, { softcap: 2 })],
  ['a sink far below', two(1, { sinks: f64(-1e30) })],
])('%s: errors are allowed far below the values', (_what, input) => {
  expect(at(attention(input), 0)).toBeGreaterThan(0);
  expect(at(attentionError(input), 0)).toBeLessThan(1e-4);
});

test('scores whose order f32 cannot tell are allowed either value', () => {
  // 1e9 and 1e9 + 1 are one number in f32: weights of 0.27 and 0.73 may come out equal.
  const input = two(0, { k: f64(1e9, 1e9 + 1) });
  expect(at(attentionError(input), 0)).toBeGreaterThan(Math.abs(at(attention(input), 0) - 2));
});

test('a NaN is not excused', () => {
  expect(at(attentionError(two(NaN)), 0)).toBeNaN();
  expect(at(attentionError(two(1, { sinks: f64(NaN) })), 0)).toBeNaN();
});
