import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attention, tpAttention, type AttentionInput } from '../../src/reference/attention.ts';
import { add } from '../../src/reference/f64.ts';
import { anySeed, expectClose, f64, normals, rounded } from './arrays.ts';

/** Two positions, one head of width 1: scores of the second query are [0, ln 3], weights [1/4, 3/4]. */
const example: AttentionInput = {
  q: f64(1, 1),
  k: f64(0, Math.log(3)),
  v: f64(4, 8),
  batch: 1,
  numQueries: 2,
  numKeys: 2,
  numHeads: 1,
  numKvHeads: 1,
  headDim: 1,
  causal: true,
};

describe('attention by hand', () => {
  test('causal: the first query sees only itself', () => {
    expectClose(attention(example), [4, 7]);
    expectClose(attention({ ...example, causal: false }), [7, 7]);
  });

  test('a single query is the last position', () => {
    expectClose(attention({ ...example, q: f64(1), numQueries: 1 }), [7]);
  });

  test('the scale: 2 makes weights 1/10 and 9/10; the default divides by sqrt(headDim)', () => {
    expectClose(attention({ ...example, scale: 2 }), [4, 7.6]);
    const wide = { ...example, headDim: 4, q: normals(1, 8), k: normals(2, 8), v: normals(3, 8) };
    expectClose(attention(wide), attention({ ...wide, scale: 0.5 }), 0);
  });

  test('query heads 0 and 1 read key/value head 0, heads 2 and 3 head 1', () => {
    const y = attention({ ...example, q: f64(1, 1, 1, 1), k: f64(5, 5), v: f64(10, 20), numQueries: 1, numKeys: 1, numHeads: 4, numKvHeads: 2 }); // prettier-ignore
    expect(y).toEqual(f64(10, 10, 20, 20));
  });

  test('sequences of a batch are apart', () => {
    const y = attention({ ...example, q: f64(1, 1, 1, 1), k: f64(0, Math.log(3), 0, 0), v: f64(4, 8, 1, 3), batch: 2 }); // prettier-ignore
    expectClose(y, [4, 7, 1, 2]);
  });

  test('a window of one key leaves each query its own', () => {
    expectClose(attention({ ...example, window: 1 }), [4, 8]);
    expectClose(attention({ ...example, window: 2 }), attention(example), 0);
  });

  test('a soft cap: ln 2 tanh(s / ln 2) of s = ln 2 atanh(1/2) is ln 2 / 2, so the weights are 1 to sqrt 2', () => {
    const softcap = Math.log(2);
    const y = attention({ ...example, k: f64(0, softcap * Math.atanh(0.5)), softcap });
    expectClose(y, [4, (4 + 8 * Math.SQRT2) / (1 + Math.SQRT2)]);
  });

  test('a sink of 0 takes its share: weights 1/2, then 1/5 and 3/5', () => {
    expectClose(attention({ ...example, sinks: f64(0) }), [2, 5.6]);
  });

  test('large scores do not overflow', () => {
    expectClose(attention({ ...example, k: f64(0, 5000) }), [4, 8]);
  });

  test('refuses sizes that do not fit', () => {
    expect(() => attention({ ...example, numHeads: 3, numKvHeads: 2 })).toThrow(/numHeads \(3\)/);
    expect(() => attention({ ...example, numQueries: 3 })).toThrow(/3 queries are more than 2 keys/);
    expect(() => attention({ ...example, v: f64(1) })).toThrow(/takes 2 elements of q and 2 of k and v/);
  });
});

const random = (seed: number): AttentionInput => ({
  ...example,
  batch: 2,
  numQueries: 3,
  numKeys: 5,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 4,
  q: rounded(normals(seed, 2 * 3 * 4 * 4)),
  k: rounded(normals(seed + 1, 2 * 5 * 2 * 4)),
  v: rounded(normals(seed + 2, 2 * 5 * 2 * 4)),
});

test('equal values come through whatever the weights', () => {
  fc.assert(
    fc.property(anySeed, fc.boolean(), (seed, causal) => {
      const v = new Float64Array(2 * 5 * 2 * 4).fill(3);
      expectClose(attention({ ...random(seed), v, causal }), new Float64Array(96).fill(3));
    }),
  );
});

describe('tpAttention', () => {
  const block = (seed: number, numHeads: number): Parameters<typeof tpAttention>[0] => ({
    x: normals(seed, 2 * 3 * 6),
    batch: 2,
    modelDim: 6,
    numHeads,
    numKvHeads: numHeads,
    headDim: 2,
    theta: 100,
    wq: normals(seed + 1, numHeads * 2 * 6),
    wk: normals(seed + 2, numHeads * 2 * 6),
    wv: normals(seed + 3, numHeads * 2 * 6),
    wo: normals(seed + 4, 6 * numHeads * 2),
  });

  test('one position: attention is the identity, y = wo wv x', () => {
    const y = tpAttention({ ...block(0, 1), x: f64(1, 2), batch: 1, modelDim: 2, wq: f64(1, 0, 0, 1), wk: f64(1, 0, 0, 1), wv: f64(0, 1, 1, 0), wo: f64(1, 1, 0, 3) }); // prettier-ignore
    expect(y).toEqual(f64(3, 3)); // v = [2, 1]
  });

  test('splitting the heads over two ranks and adding their outputs gives the whole', () => {
    fc.assert(
      fc.property(anySeed, (seed) => {
        const whole = block(seed, 4);
        const rank = (r: number): Float64Array => {
          const rows = (w: Float64Array): Float64Array => w.slice(r * 24, (r + 1) * 24);
          const wo = whole.wo.filter((_, i) => Math.floor((i % 8) / 4) === r);
          return tpAttention({ ...whole, numHeads: 2, numKvHeads: 2, wq: rows(whole.wq), wk: rows(whole.wk), wv: rows(whole.wv), wo }); // prettier-ignore
        };
        expectClose(add(rank(0), rank(1)), tpAttention(whole), 1e-11);
      }),
    );
  });
});
