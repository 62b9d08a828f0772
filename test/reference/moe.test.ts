import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import type { Activation } from '../../src/model/config.ts';
import { silu, swigluOai } from '../../src/reference/activation.ts';
import { moe, moeMagnitude, type MoeInput } from '../../src/reference/moe.ts';
import { gamma } from '../../src/tensor/compare.ts';
import { anySeed, expectClose, expectWithin, f64, normals, rounded } from './arrays.ts';

/** One token [1, 2], two experts of width 1; D = 2. Expert 0: w1 x = 3, w3 x = 2; expert 1: w1 x = -1, w3 x = 1. */
const plain: MoeInput = {
  x_TD: f64(1, 2),
  logits_TE: f64(Math.log(3), 0), // scores 3/4 and 1/4
  numExperts: 2,
  modelDim: 2,
  expertDim: 1,
  topK: 2,
  score: 'softmax',
  renormalize: true,
  activation: 'identity',
  w1_EFD: f64(1, 1, 1, -1),
  w2_EDF: f64(1, 10, 2, 20),
};
const example: MoeInput = { ...plain, w3_EFD: f64(0, 1, 1, 0) };

describe('moe by hand', () => {
  test('gated: hidden 6 and -1', () => {
    const y = [0.75 * 6 + 0.25 * 2 * -1, 0.75 * 60 + 0.25 * 20 * -1];
    const result = moe(example);
    expectClose(result.y_TD, y);
    expect([...result.ids_TK]).toEqual([0, 1]);
  });

  test('only the best expert, with or without renormalisation', () => {
    expectClose(moe({ ...example, topK: 1 }).y_TD, [6, 60]);
    expectClose(moe({ ...example, topK: 1, renormalize: false }).y_TD, [4.5, 45]);
  });

  test('silu applies to w1 only', () => {
    expectClose(moe({ ...example, topK: 1, activation: 'silu' }).y_TD, [2 * silu(3), 20 * silu(3)]);
  });

  test('without w3: two matrices', () => {
    expectClose(moe({ ...plain, topK: 1, activation: 'relu' }).y_TD, [3, 30]);
    expect(() => moe({ ...plain, activation: 'swiglu_oai' })).toThrow(/needs w3/);
  });

  test('biases of all three matrices, of the expert that was chosen', () => {
    const biased = { ...example, topK: 1, b1_EF: f64(1, 9), b3_EF: f64(-1, 9), b2_ED: f64(5, 6, 9, 9) };
    expectClose(moe(biased).y_TD, [4 * 1 + 5, 40 + 6]);
  });

  test('swiglu_oai with its constants', () => {
    const swiglu = { alpha: 1, beta: 0.5, limit: 2 };
    const h = swigluOai(3, 2, swiglu);
    expectClose(moe({ ...example, topK: 1, activation: 'swiglu_oai', swiglu }).y_TD, [h, 10 * h]);
  });

  test('no tokens', () => {
    expect(moe({ ...example, x_TD: f64(), logits_TE: f64() }).y_TD).toEqual(f64());
  });

  test('weights of the wrong size are a fault', () => {
    expect(() => moe({ ...example, w1_EFD: f64(1) })).toThrow(/w1_EFD has 1 elements, not 4/);
  });
});

/** A case of T 3, E 4, D 8, F 6 with biases. */
function randomCase(seed: number, activation: Activation, withUp: boolean): MoeInput {
  const draw = (offset: number, count: number): Float64Array => rounded(normals(seed + offset, count));
  return {
    x_TD: draw(0, 3 * 8),
    logits_TE: draw(1, 3 * 4),
    numExperts: 4,
    modelDim: 8,
    expertDim: 6,
    topK: 2,
    score: 'softmax',
    renormalize: true,
    activation,
    w1_EFD: draw(2, 4 * 6 * 8),
    w2_EDF: draw(3, 4 * 8 * 6),
    b1_EF: draw(4, 4 * 6),
    b2_ED: draw(5, 4 * 8),
    ...(withUp ? { w3_EFD: draw(6, 4 * 6 * 8), b3_EF: draw(7, 4 * 6) } : {}),
  };
}

const anyActivation = fc.constantFrom<Activation>('silu', 'gelu', 'relu', 'identity', 'swiglu_oai');

test('a token does not see its neighbours', () => {
  fc.assert(
    fc.property(anySeed, anyActivation, (seed, activation) => {
      const all = randomCase(seed, activation, true);
      const last = { ...all, x_TD: all.x_TD.slice(-8), logits_TE: all.logits_TE.slice(-4) };
      expectClose(moe(last).y_TD, moe(all).y_TD.slice(-8), 0);
    }),
  );
});

test('inputs off by u change the result by less than the budget of unit roundoff u', () => {
  fc.assert(
    fc.property(anySeed, anyActivation, fc.boolean(), (seed, activation, withUp) => {
      const exact = randomCase(seed, activation, withUp || activation === 'swiglu_oai');
      const u = 2 ** -24;
      const random = seededRandom(seed);
      const shake = (v: Float64Array): Float64Array =>
        v.map((x) => x * (1 + u * Math.sign(random.uniform() - 0.5)));
      const off = { ...exact, w1_EFD: shake(exact.w1_EFD), w2_EDF: shake(exact.w2_EDF) };
      if (exact.w3_EFD) off.w3_EFD = shake(exact.w3_EFD);
      expectWithin(moe(off).y_TD, moe(exact).y_TD, moeMagnitude(exact), gamma(2, u));
    }),
  );
});
