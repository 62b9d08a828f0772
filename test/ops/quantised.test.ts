/** Weights in few bits among an op's tensors: what fits, and what is refused with the shape that is expected. */
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { product } from '../../src/core/math.ts';
import { inputsOf, opByName } from '../../src/ops/ops.ts';
import type { OpInputs } from '../../src/ops/op.ts';
import { quantisedTensors, weightOf, weightValues } from '../../src/ops/quantised-inputs.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { renderOp } from '../../src/report/terminal/ops.ts';
import { quantise } from '../../src/tensor/quantise.ts';
import { dequantise, QUANT_FORMATS } from '../../src/tensor/quantised.ts';
import { f32Tensor, type Tensor, tensor } from '../../src/tensor/tensor.ts';
import { maker } from '../../src/validate/draw/maker.ts';

const f32 = (...shape: number[]): Tensor => f32Tensor(shape, new Float32Array(product(shape)).fill(0.5));
const i8 = (...shape: number[]): Tensor => tensor('i8', shape, new Int8Array(product(shape)));
const u8 = (...shape: number[]): Tensor => tensor('u8', shape, new Uint8Array(product(shape)));
const changed = (t: Tensor, index: number, value: number): Tensor => {
  const data = t.data.slice();
  data[index] = value;
  return { ...t, data };
};

const a = f32(3, 1024);
const int8 = { a, b: i8(64, 1024), b_scales: f32(64) };
const int4 = { a, b: u8(64, 512), b_scales: f32(64, 32) };
const mxfp4 = { a, b: u8(64, 512), b_scales: u8(64, 32) };

const matmul = (tensors: Record<string, Tensor>): OpInputs => inputsOf(opByName('matmul'), tensors);

describe('matmul takes', () => {
  test.each(Object.entries({ int8, int4, mxfp4 }))('%s', (format, tensors) => {
    const inputs = matmul(tensors);
    opByName('matmul').check(inputs);
    expect(weightOf(inputs, 'b')).toMatchObject({ format, shape: [64, 1024] });
    expect(opByName('matmul').cost(inputs)).toEqual({
      flops: 2 * 3 * 64 * 1024,
      bytes: 4 * 3 * (1024 + 64) + tensors.b.data.byteLength + tensors.b_scales.data.byteLength,
    });
  });
});

describe.each(QUANT_FORMATS)('%s', (format) => {
  test('through a safetensors file gives the same values', () => {
    const matrix = quantise(maker(format).weight([5, 96]), format);
    const file = writeSafetensors({ a: f32(2, 96), ...quantisedTensors('b', matrix) });
    const inputs = { tensors: readSafetensors(file, 'file'), attrs: new Map() };
    opByName('matmul').check(inputs);
    expect(weightOf(inputs, 'b')).toEqual(matrix);
    expect(weightValues(inputs, 'b')).toEqual(dequantise(matrix).data);
  });

  test('the reference computes with the rounded values', () => {
    const make = maker(format);
    const matrix = quantise(make.weight([5, 32]), format);
    const x = make.normal([2, 32]);
    const op = opByName('matmul');
    const got = op.reference(matmul({ a: x, ...quantisedTensors('b', matrix) })).get('c')?.values ?? [];
    const want = op.reference(
      matmul({ a: x, b: f32Tensor([5, 32], Float32Array.from(dequantise(matrix).data)) }),
    );
    (want.get('c')?.values ?? []).forEach((value, i) => expect(got[i]).toBeCloseTo(value, 5));
  });
});

type Refused = readonly [what: string, tensors: Record<string, Tensor>, message: string | RegExp];

const REFUSED: readonly Refused[] = [
  [
    'I8 without scales',
    { a, b: int8.b },
    'b is I8, which needs its scales; expected b_scales [N] = [64] of F32.',
  ],
  [
    'U8 without scales',
    { a, b: int4.b },
    'b is U8, which needs its scales; expected b_scales [N, K/32] = [64, 32] of F32 (int4) or U8 (mxfp4).',
  ],
  [
    'scales without a weight',
    { a, b_scales: f32(64) },
    'b_scales is given without b; give both, or neither.',
  ],
  [
    'scales beside floats',
    { a, b: f32(64, 1024), b_scales: f32(64) },
    /b_scales is given, but b is F32; scales belong/,
  ],
  [
    'scales per block for I8',
    { ...int8, b_scales: f32(64, 32) },
    'b_scales is [64, 32]; expected b_scales [N] = [64]',
  ],
  [
    'bytes as scales for I8',
    { ...int8, b_scales: u8(64) },
    /b_scales is U8; beside b of I8 it must be F32; expected/,
  ],
  [
    'f64 as scales',
    { ...int4, b_scales: tensor('f64', [64, 32], new Float64Array(2048)) },
    /b_scales is F64; beside b of U8/,
  ],
  [
    'blocks of 64',
    { ...int4, b_scales: f32(64, 16) },
    'b_scales is [64, 16]; expected b_scales [N, K/32] = [64, 32]: a scale per block of 32 values, not of 64.',
  ],
  [
    'flat scales',
    { ...mxfp4, b_scales: u8(2048) },
    'b_scales is [2048]; expected b_scales [N, K/32] = [64, 32]',
  ],
  [
    'a value per byte',
    { ...int4, b: u8(64, 1024) },
    'b is U8 [64, 1024]; expected [N, K/2] = [64, 512] from a: two values per byte.',
  ],
  [
    'two values per byte of I8',
    { ...int8, b: i8(64, 512) },
    'b is [64, 512]; expected [N, K] = [64, 1024] from a.',
  ],
  [
    'blocks as a dimension',
    { ...int4, b: u8(64, 32, 16) },
    'b is U8 [64, 32, 16]; expected [N, K/2], 2 dimensions',
  ],
  [
    'rows that are not whole blocks',
    { a: f32(2, 48), b: u8(4, 24), b_scales: f32(4, 2) },
    /K = 48 is not a multiple of 32, but b is U8, whose rows are blocks of 32/,
  ],
  [
    'a NaN scale',
    { ...int4, b_scales: changed(int4.b_scales, 33, NaN) },
    'b_scales[1, 1] is NaN; scales are finite',
  ],
  [
    'an infinite scale',
    { ...int8, b_scales: changed(int8.b_scales, 7, Infinity) },
    'b_scales[7] is Infinity; scales are finite',
  ],
  [
    'the e8m0 NaN',
    { ...mxfp4, b_scales: changed(mxfp4.b_scales, 32, 255) },
    'b_scales[1, 0] is 255, which means NaN',
  ],
  ['bytes where floats belong', { a: u8(3, 1024), b: f32(64, 1024) }, 'a is U8; it must be F32 or F16.'],
];

describe('matmul refuses', () => {
  test.each(REFUSED)('%s', (_what, tensors, message) => {
    const attempt = (): void => opByName('matmul').check(matmul(tensors));
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(ConfigError);
  });
});

describe('moe', () => {
  const [E, F, D] = [4, 96, 64];
  const layer = {
    ...{ x: f32(2, D), logits: f32(2, E), w1: u8(E, F, D / 2), w1_scales: f32(E, F, D / 32) },
    ...{ w3: u8(E, F, D / 2), w3_scales: f32(E, F, D / 32), w2: i8(E, D, F), w2_scales: f32(E, D) },
  };
  const check = (tensors: Record<string, Tensor>): void => {
    const op = opByName('moe');
    op.check(inputsOf(op, tensors, { k: 2 }));
  };

  test('takes a format for w1 and w3, and another for w2', () => {
    check(layer);
    const { x, logits, w1, w1_scales, w3, w3_scales } = layer;
    check({ x, logits, w1, w1_scales, w3, w3_scales, w2: f32(E, D, F) });
  });

  test('refuses scales of another shape, and two formats where one kernel reads both', () => {
    expect(() => check({ ...layer, w2_scales: f32(E, F) })).toThrow(
      'moe: w2_scales is [4, 96]; expected w2_scales [E, D] = [4, 64]: a scale per row.',
    );
    expect(() => check({ ...layer, w3: i8(E, F, D), w3_scales: f32(E, F) })).toThrow(
      'moe: w1 is int4 and w3 is int8; one kernel reads both, so they must be quantised alike.',
    );
    expect(() => check({ ...layer, w1_scales: u8(E, F, D / 32) })).toThrow(/w1 is mxfp4 and w3 is int4/);
  });
});

test('the help of an op tells how its weights may be quantised', () => {
  const text = renderOp(opByName('matmul')).join('\n');
  expect(text.replace(/\s+/g, ' ')).toContain(
    'b_scales b may be quantised: i8 [N, K] with f32 scales [N], or u8 [N, K/2] with scales [N, K/32] in f32 (int4) or u8 (mxfp4)',
  );
});
