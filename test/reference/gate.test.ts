import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { at, sum } from '../../src/core/math.ts';
import { softmax } from '../../src/reference/f64.ts';
import { gateTopK, type GateInput } from '../../src/reference/gate.ts';
import { anySeed, expectClose, f64, normals } from './arrays.ts';

describe('softmax', () => {
  test('sums to 1 per row, also where exp would overflow', () => {
    fc.assert(
      fc.property(anySeed, fc.integer({ min: -1000, max: 1000 }), (seed, shift) => {
        const x = normals(seed, 3 * 7).map((v) => 10 * v + shift);
        const y = softmax(x, 7);
        for (const row of [0, 1, 2]) expect(sum(y.subarray(7 * row, 7 * row + 7))).toBeCloseTo(1, 12);
      }),
    );
  });

  test('-Infinity weighs nothing', () => {
    expect(softmax(f64(0, -Infinity, 0), 3)).toEqual(f64(0.5, 0, 0.5));
  });
});

describe('gateTopK', () => {
  const example: GateInput = {
    logits_TE: f64(0, Math.log(3), Math.log(4)),
    numExperts: 3,
    topK: 2,
    score: 'softmax',
    renormalize: false,
  };

  test('the example in its comment', () => {
    const plain = gateTopK(example);
    expect([...plain.ids_TK]).toEqual([2, 1]);
    expectClose(plain.scores_TK, [4 / 8, 3 / 8]);
    expectClose(plain.gap_T, [2 / 8]);
    const renormalised = gateTopK({ ...example, renormalize: true });
    expectClose(renormalised.scores_TK, [4 / 7, 3 / 7]);
    expectClose(renormalised.gap_T, [2 / 8]);
  });

  test('sigmoid scores are independent of each other', () => {
    const { ids_TK, scores_TK } = gateTopK({ ...example, score: 'sigmoid', renormalize: true });
    expect([...ids_TK]).toEqual([2, 1]);
    expectClose(scores_TK, [0.8 / 1.55, 0.75 / 1.55]);
  });

  test('a bias changes the choice, not the scores: the example in its comment', () => {
    const { ids_TK, scores_TK, gap_T } = gateTopK({ ...example, bias_E: f64(0.5, 0, 0) });
    expect([...ids_TK]).toEqual([0, 2]);
    expectClose(scores_TK, [1 / 8, 4 / 8]);
    expectClose(gap_T, [1 / 8]);
  });

  describe('groups of two', () => {
    // Sums 1.0, 1.2, 1.0, 1.5; bests 0.9, 0.6, 0.5, 0.8.
    const probabilities = [0.9, 0.1, 0.6, 0.6, 0.5, 0.5, 0.8, 0.7];
    const grouped: GateInput = {
      logits_TE: f64(...probabilities.map((p) => Math.log(p / (1 - p)))),
      numExperts: 8,
      topK: 3,
      score: 'sigmoid',
      renormalize: true,
      groups: { count: 4, kept: 2, score: 'top2' },
      scale: 2.5,
    };

    test('by the sum of the two best, renormalised, then scaled', () => {
      const { ids_TK, scores_TK, gap_T } = gateTopK(grouped);
      expect([...ids_TK].slice(0, 2)).toEqual([6, 7]);
      expect([2, 3]).toContain(ids_TK[2]);
      expectClose(scores_TK, [2 / 2.1, 1.75 / 2.1, 1.5 / 2.1]);
      expectClose(gap_T, [0]);
      expectClose(gateTopK({ ...grouped, topK: 4 }).gap_T, [0.2]);
    });

    test('by the best', () => {
      const { ids_TK } = gateTopK({ ...grouped, groups: { count: 4, kept: 2, score: 'max' } });
      expect([...ids_TK]).toEqual([0, 6, 7]);
    });

    test('a bias counts in the group and among its experts', () => {
      const { ids_TK, scores_TK } = gateTopK({
        ...{ ...grouped, renormalize: false, scale: 1 },
        bias_E: f64(0, 0.75, 0, 0, 0, 0, 0, 0),
      });
      expect([...ids_TK]).toEqual([0, 1, 6]);
      expectClose(scores_TK, [0.9, 0.1, 0.8]);
    });

    test('equal groups: the lower ones stay', () => {
      const { ids_TK } = gateTopK({ ...grouped, logits_TE: new Float64Array(8) });
      expect([...ids_TK]).toEqual([0, 1, 2]);
    });

    test('a masked expert adds nothing, and a bias does not revive it', () => {
      const logits_TE = grouped.logits_TE.map((v, e) => (e === 7 ? -Infinity : v));
      const { ids_TK } = gateTopK({ ...grouped, logits_TE, bias_E: f64(0, 0.5, 0, 0, 0, 0, 0, 9) });
      expect([...ids_TK].slice(0, 2)).toEqual([0, 1]);
      expect([2, 3]).toContain(ids_TK[2]);
    });

    test.each([
      { count: 3, kept: 1, score: 'max' },
      { count: 4, kept: 5, score: 'max' },
      { count: 4, kept: 1, score: 'max' },
    ] as const)('refuses %j', (groups) => {
      expect(() => gateTopK({ ...grouped, groups })).toThrow(/groups of 8 experts for topK 3 do not fit/);
    });
  });

  test('ties go to the lower id', () => {
    const { ids_TK, gap_T } = gateTopK({ ...example, logits_TE: f64(1, 2, 2, 0, 0, 0) });
    expect([...ids_TK]).toEqual([1, 2, 0, 1]);
    expect(gap_T[1]).toBe(0);
  });

  test('all experts chosen leave no gap', () => {
    const { gap_T, scores_TK } = gateTopK({ ...example, topK: 3 });
    expect(gap_T).toEqual(f64(Infinity));
    expect(sum(scores_TK)).toBeCloseTo(1, 14);
  });

  test('refuses a wrong topK, and scores that are not numbers', () => {
    expect(() => gateTopK({ ...example, topK: 4 })).toThrow(/topK \(4\) must be from 1 to .* \(3\)/);
    expect(() => gateTopK({ ...example, topK: 0 })).toThrow(/topK \(0\)/);
    expect(() => gateTopK({ ...example, logits_TE: f64(0, NaN, 1) })).toThrow(/token 0 are not numbers/);
  });

  test('chooses distinct experts with the largest scores, in descending order', () => {
    fc.assert(
      fc.property(anySeed, fc.integer({ min: 1, max: 8 }), fc.boolean(), (seed, topK, renormalize) => {
        const logits_TE = normals(seed, 4 * 8);
        const { ids_TK, scores_TK } = gateTopK({
          logits_TE,
          numExperts: 8,
          topK,
          score: 'softmax',
          renormalize,
        });
        for (let t = 0; t < 4; t++) {
          const logits = logits_TE.subarray(8 * t, 8 * t + 8);
          const ids = [...ids_TK.subarray(topK * t, topK * (t + 1))];
          const scores = [...scores_TK.subarray(topK * t, topK * (t + 1))];
          expect(new Set(ids).size).toBe(topK);
          expect(scores).toEqual([...scores].sort((a, b) => b - a));
          const least = at(logits, ids.at(-1) ?? 0);
          expect(logits.filter((v) => v > least).length).toBe(topK - 1);
          if (renormalize) expect(sum(scores)).toBeCloseTo(1, 12);
        }
      }),
    );
  });
});
