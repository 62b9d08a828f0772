/** Scales and inputs at the ends of f32, whose products lie within it: every variant, every format, gemm and experts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { product } from '../../src/core/math.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { leavesRange, magnitudesOf } from '../../src/kernels/scale-range.ts';
import { quantisedTensors } from '../../src/ops/quantised-inputs.ts';
import { dataBytes, type QuantFormat, type QuantisedMatrix, scaleCount } from '../../src/tensor/quantised.ts';
import { f32Tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { maker } from '../../src/validate/draw/maker.ts';
import { testPlatform } from '../setup/gpu.ts';
import { expectAgreement, filled } from './extremes.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

/** Any values, with scales between 2^exponent and twice that. */
function matrix(format: QuantFormat, shape: readonly number[], exponent: number): QuantisedMatrix {
  const { random } = maker(`${format} 2^${exponent}`);
  const count = scaleCount(format, shape);
  const byte = (): number => random.integer(256);
  const data =
    format === 'int8'
      ? Int8Array.from({ length: product(shape) }, () => random.integer(255) - 127)
      : Uint8Array.from({ length: dataBytes(format, shape) }, byte);
  if (format === 'mxfp4') {
    return { format, shape, data, scales: new Uint8Array(count).fill(exponent + 127) };
  }
  const sign = (): number => (format === 'int4' && random.integer(2) === 0 ? -1 : 1);
  const scales = Float32Array.from({ length: count }, () => sign() * (1 + random.uniform()) * 2 ** exponent);
  return { format, shape, data, scales };
}

const rows = (shape: readonly number[], exponent: number): Tensor =>
  maker(`rows 2^${exponent}`).filled(
    shape,
    (i) => (i % 3 === 0 ? -1 : 1) * (1 + (i % 7) / 8) * 2 ** exponent,
  );

const FORMATS: readonly QuantFormat[] = ['int8', 'int4', 'mxfp4'];

/** Exponents of scales and of inputs. Below 2^-126 a scale is no normal number of f32. */
const ENDS: readonly (readonly [QuantFormat, number, number])[] = [
  ...FORMATS.flatMap((format) => [
    [format, 126, -100] as const,
    [format, -127, 100] as const,
    [format, -40, 126] as const,
    [format, 100, -125] as const,
  ]),
  ['mxfp4', 127, -110],
  ['int8', -140, 120],
  ['int4', -140, 120],
];

describe.each(ENDS)('%s, scales of 2^%i and inputs of 2^%i', (format, scale, input) => {
  test('matmul', async () => {
    for (const [m, n, k] of [
      [1, 5, 64],
      [9, 33, 96],
    ] as const) {
      const b = matrix(format, [n, k], scale);
      expect(leavesRange(b, magnitudesOf(rows([m, k], input).data))).toBe(true);
      const tensors = { a: rows([m, k], input), ...quantisedTensors('b', b) };
      await expectAgreement(gpu, 'matmul', tensors, {}, FORMATS.indexOf(format));
    }
  });
});

const TOKENS = [2, 11];
describe.each([
  ['int8', 126, -126],
  ['int4', -120, 120],
  ['int4', -140, 120],
  ['mxfp4', 127, -126],
  ['mxfp4', -127, 120],
] as const)('moe in %s, scales of 2^%i and then of 2^%i', (format, up, down) => {
  test('the products of experts', async () => {
    const [E, D, F] = [3, 64, 32];
    for (const tokens of TOKENS) {
      const x = rows([tokens, D], up > 0 ? -100 : 100);
      const logits = f32Tensor(
        [tokens, E],
        Array.from({ length: tokens * E }, (_, i) => (i * 7) % 5),
      );
      const w1 = quantisedTensors('w1', matrix(format, [E, F, D], up));
      const w2 = quantisedTensors('w2', matrix(format, [E, D, F], down));
      const attrs = { k: 2, activation: 'identity' };
      await expectAgreement(gpu, 'moe', { x, logits, ...w1, ...w2 }, attrs, FORMATS.indexOf(format));
    }
  });
});

test('an up projection at the end of f32, and hidden values beyond what a sum in whole numbers holds', async () => {
  const [E, D, F] = [2, 32, 32];
  for (const tokens of TOKENS) {
    const x = rows([tokens, D], -100);
    const logits = filled([tokens, E], 0);
    const [w1, w3] = [matrix('int8', [E, F, D], 100), matrix('int8', [E, F, D], 126)];
    const w2 = matrix('int8', [E, D, F], -60);
    const tensors = {
      ...{ x, logits },
      ...quantisedTensors('w1', w1),
      ...quantisedTensors('w3', w3),
      ...quantisedTensors('w2', w2),
    };
    await expectAgreement(gpu, 'moe', tensors, { k: 1, activation: 'identity' }, 0);
  }
});

test('ordinary weights are multiplied in the ordinary order', () => {
  for (const format of FORMATS) {
    for (const exponent of [-60, -10, 0, 60]) {
      expect(leavesRange(matrix(format, [4, 32], exponent), magnitudesOf([0, 1e-6, -1e6]))).toBe(false);
    }
  }
  expect(leavesRange(filled([4, 32], 3e38), magnitudesOf([1e30]))).toBe(false);
});

test('magnitudes leave out zeros and what has no end', () => {
  expect(magnitudesOf([0, -3, NaN, 0.5, -Infinity])).toEqual({ least: 0.5, most: 3 });
  expect(magnitudesOf([])).toEqual({ least: Infinity, most: 0 });
});
