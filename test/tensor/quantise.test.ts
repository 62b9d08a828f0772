/** Weights in few bits: worked examples, the error that each format allows, and parts that hold the whole's numbers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { at, product } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { e2m1, quantise } from '../../src/tensor/quantise.ts';
import { quantisedColumns, quantisedRows, quantisedStack } from '../../src/tensor/quantised-cuts.ts';
import {
  dequantise,
  NIBBLE_VALUES,
  QUANT_FORMATS,
  quantisedBytes,
  type QuantFormat,
} from '../../src/tensor/quantised.ts';
import { f32Tensor, toF32, type Tensor } from '../../src/tensor/tensor.ts';

/** One row of 32 values that begins with these; the rest are zeros. */
const row = (...values: number[]): Tensor =>
  f32Tensor([1, 32], [...values, ...Array<number>(32 - values.length).fill(0)]);

const random = (shape: readonly number[], seed = 1, deviation = 1): Tensor =>
  f32Tensor(shape, seededRandom(seed).normals(product(shape), deviation));

describe('worked examples', () => {
  test('int8: the largest of a row becomes 127', () => {
    const matrix = quantise(f32Tensor([2, 3], [63.5, -1, 0.3, 0, 0, 0]), 'int8');
    expect([...matrix.data]).toEqual([127, -2, 1, 0, 0, 0]);
    expect([...matrix.scales]).toEqual([0.5, 0]);
    expect([...dequantise(matrix).data]).toEqual([63.5, -1, 0.5, 0, 0, 0]);
  });

  test('int4: the largest of a block becomes -8, its scale carries the sign', () => {
    // Scale 4 / -8; then 4 -> -8, -3.5 -> 7, -4 -> 8, which is cut to 7; 0.3 -> -1; nibbles are 8 more.
    const matrix = quantise(row(4, -3.5, -4, 0.3), 'int4');
    expect([...matrix.scales]).toEqual([-0.5]);
    expect([...matrix.data.slice(0, 3)]).toEqual([0xf0, 0x7f, 0x88]);
    expect([...dequantise(matrix).data.slice(0, 5)]).toEqual([4, -3.5, -3.5, 0.5, -0]);
  });

  test('mxfp4: a power of two under which the largest is at most 6, or is cut off to 6', () => {
    // 6 = 1.5 2^2: scale 2^0, byte 127.
    const matrix = quantise(row(6, -3, 1.4, -0.2), 'mxfp4');
    expect([...matrix.scales]).toEqual([127]);
    expect([...matrix.data.slice(0, 2)]).toEqual([0xd7, 0x83]);
    expect([...dequantise(matrix).data.slice(0, 4)]).toEqual([6, -3, 1.5, -0]);
    // 7.5 alone: to 6 is off by 1.5, with twice the scale to 8 by 0.5.
    expect([...quantise(row(7.5), 'mxfp4').scales]).toEqual([128]);
    // With many halves beside it, which twice the scale would take to 0 or 1, cutting off is nearer.
    expect([...quantise(row(7.1, ...Array<number>(30).fill(0.5)), 'mxfp4').scales]).toEqual([127]);
  });

  test('a block of zeros is zeros', () => {
    for (const format of QUANT_FORMATS) expect(dequantise(quantise(row(), format)).data).toContain(0);
    for (const format of QUANT_FORMATS) {
      expect(toF32(dequantise(quantise(row(), format))).every((value) => value === 0)).toBe(true);
    }
  });

  test('e2m1 rounds to the nearest, ties to the even nibble', () => {
    const ties = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 9, -2.5];
    expect(ties.map((value) => NIBBLE_VALUES.mxfp4[e2m1(value)])).toEqual([0, 1, 1, 2, 2, 4, 4, 6, -2]);
    for (const [nibble, value] of NIBBLE_VALUES.mxfp4.entries()) {
      if (nibble !== 8) expect(e2m1(value)).toBe(nibble);
    }
  });

  test('bytes as stored', () => {
    const bytes = QUANT_FORMATS.map((format) => quantisedBytes(quantise(random([4, 64]), format)));
    expect(bytes).toEqual([256 + 16, 128 + 32, 128 + 8]);
  });
});

/** Largest magnitude of the row (int8) or block that an element belongs to, and the share of it that may be lost. */
const SHARE: Readonly<Record<QuantFormat, number>> = { int8: 1 / 254, int4: 1 / 8, mxfp4: 1 / 4 };

test('no value is off by more than its format allows, in any range of exponents', () => {
  const input = fc.record({
    format: fc.constantFrom(...QUANT_FORMATS),
    rows: fc.integer({ min: 1, max: 3 }),
    blocks: fc.integer({ min: 1, max: 3 }),
    seed: fc.nat(),
    exponent: fc.integer({ min: -90, max: 100 }),
  });
  fc.assert(
    fc.property(input, ({ format, rows, blocks, seed, exponent }) => {
      const source = random([rows, 32 * blocks], seed, 2 ** exponent);
      const [want, got] = [source.data, dequantise(quantise(source, format)).data];
      const run = format === 'int8' ? 32 * blocks : 32;
      for (let first = 0; first < want.length; first += run) {
        const largest = Math.max(...want.slice(first, first + run).map(Math.abs));
        for (let i = first; i < first + run; i++) {
          const error = Math.abs(at(got, i) - at(want, i));
          expect(error).toBeLessThanOrEqual(SHARE[format] * largest * (1 + 1e-5));
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('numbers that a format has survive it', () => {
  fc.assert(
    fc.property(fc.constantFrom<'int4' | 'mxfp4'>('int4', 'mxfp4'), fc.nat(), (format, seed) => {
      const table = NIBBLE_VALUES[format];
      const stream = seededRandom(seed);
      const values = Array.from({ length: 64 }, () => at(table, stream.integer(16)) * 0.25);
      // The end of the range in every block fixes the scale.
      values[0] = values[32] = format === 'int4' ? -2 : 1.5;
      expect([...dequantise(quantise(f32Tensor([2, 32], values), format)).data].map((v) => v + 0)).toEqual(
        values.map((v) => v + 0),
      );
    }),
    { numRuns: 50 },
  );
});

describe('parts', () => {
  const part = fc.record({
    format: fc.constantFrom(...QUANT_FORMATS),
    rows: fc.integer({ min: 1, max: 5 }),
    blocks: fc.integer({ min: 1, max: 4 }),
    seed: fc.nat(),
    cut: fc.tuple(fc.nat(), fc.nat()),
  });
  const runIn = (length: number, [a, b]: readonly [number, number]): { first: number; count: number } => {
    const first = a % length;
    return { first, count: 1 + (b % (length - first)) };
  };

  test('of rows hold the numbers of the whole, and equal what the part alone becomes', () => {
    fc.assert(
      fc.property(part, ({ format, rows, blocks, seed, cut }) => {
        const depth = 32 * blocks;
        const source = random([rows, depth], seed);
        const run = runIn(rows, cut);
        const piece = source.data.slice(run.first * depth, (run.first + run.count) * depth);
        const alone = quantise({ ...source, shape: [run.count, depth], data: piece }, format);
        expect(quantisedRows(quantise(source, format), run)).toEqual(alone);
      }),
      { numRuns: 60 },
    );
  });

  test('of columns hold the numbers of the whole', () => {
    fc.assert(
      fc.property(part, ({ format, rows, blocks, seed, cut }) => {
        const depth = 32 * blocks;
        const whole = quantise(random([rows, depth], seed), format);
        const run = runIn(blocks, cut);
        const [first, count] = [32 * run.first, 32 * run.count];
        const cutOut = quantisedColumns(whole, { first, count });
        expect(cutOut.shape).toEqual([rows, count]);
        const [want, got] = [dequantise(whole).data, dequantise(cutOut).data];
        for (let r = 0; r < rows; r++) {
          expect(got.slice(r * count, (r + 1) * count)).toEqual(
            want.slice(r * depth + first, r * depth + first + count),
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  test('joined are the whole again', () => {
    for (const format of QUANT_FORMATS) {
      const whole = quantise(random([6, 64]), format);
      const parts = [0, 2, 5].map((first, i) => quantisedRows(whole, { first, count: [2, 3, 1][i] ?? 0 }));
      expect(quantisedStack(parts, [6, 64])).toEqual(whole);
    }
  });
});

describe('refuses', () => {
  test.each([NaN, Infinity, -Infinity])('%s, and names the element', (bad) => {
    const values = new Float32Array(2 * 2 * 32);
    values[64 + 32 + 5] = bad;
    for (const format of QUANT_FORMATS) {
      const attempt = (): unknown => quantise(f32Tensor([2, 2, 32], values), format, 'experts.w1');
      expect(attempt).toThrow(`experts.w1[1, 1, 5] is ${bad}; ${format} holds finite values only.`);
      expect(attempt).toThrow(ConfigError);
    }
  });

  test('rows that are not whole blocks, where blocks matter', () => {
    expect(() => quantise(random([2, 30]), 'int4', 'w1')).toThrow(
      /^w1 has 30 values per row; int4 has a scale per 32.*Use int8/,
    );
    expect(quantise(random([2, 30]), 'int8').shape).toEqual([2, 30]);
  });

  test('a cut through a block', () => {
    const whole = quantise(random([2, 64]), 'mxfp4');
    expect(() => quantisedColumns(whole, { first: 8, count: 32 })).toThrow(
      /Columns 8 to 39 of a matrix in mxfp4 cut its blocks of 32 values apart.*Use fewer TP ranks, or int8/,
    );
    expect(() => quantisedColumns(whole, { first: 0, count: 16 })).toThrow(ConfigError);
  });
});
