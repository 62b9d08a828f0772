import { expect, test } from 'vitest';
import {
  BLOCK,
  dequantised,
  int4Inputs,
  int4Weights,
  interleavedRows,
} from '../../../bench/peers/contestants/int4.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { castFloat, f32Tensor, toF32 } from '../../../src/tensor/tensor.ts';

test('a byte holds two values, the first in its low half, about 8', () => {
  const packed = new Uint8Array(BLOCK).fill(0x88);
  packed[0] = 0xf0;
  packed[BLOCK / 2] = 0x9a;
  const weights = { shape: [2, BLOCK], packed, scales: Float32Array.of(0.5, 2) };
  const values = dequantised(weights, 0, 2 * BLOCK);
  expect([...values.subarray(0, 3)]).toEqual([-4, 3.5, 0]);
  expect([...values.subarray(BLOCK, BLOCK + 3)]).toEqual([4, 2, 0]);
  expect([...dequantised(weights, BLOCK, 2)]).toEqual([4, 2]);
});

test('random weights have the deviation that was asked for, and are the same numbers in f16', () => {
  const values = dequantised(int4Weights('any', [64, 256], 0.03), 0, 64 * 256);
  const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  expect(deviation).toBeGreaterThan(0.03 / 2);
  expect(deviation).toBeLessThan(0.03 * 2);
  const t = f32Tensor([64, 256], values);
  expect(toF32(castFloat(t, 'f16'))).toEqual(values);
});

test("this project's op reads the packed weights as they are widened here", () => {
  const weights = int4Weights('packing', [4, 64], 0.1);
  const op = opByName('matmul');
  const a = f32Tensor(
    [2, 64],
    Array.from({ length: 128 }, (_, i) => (i % 7) - 3),
  );
  const b = f32Tensor([4, 64], dequantised(weights, 0, 4 * 64));
  const want = op.reference(inputsOf(op, { a, b })).get('c')?.values;
  expect(op.reference(inputsOf(op, { a, ...int4Inputs('b', weights) })).get('c')?.values).toEqual(want);
});

test('rows of two matrices in turns, expert by expert', () => {
  const [gate, up] = [int4Weights('gate', [2, 3, 64], 1), int4Weights('up', [2, 3, 64], 1)];
  const both = interleavedRows(gate, up);
  expect(both.shape).toEqual([2, 6, 64]);
  for (const row of [0, 1, 2, 3, 4, 5]) {
    expect(dequantised(both, 2 * row * 64, 64)).toEqual(dequantised(gate, row * 64, 64));
    expect(dequantised(both, (2 * row + 1) * 64, 64)).toEqual(dequantised(up, row * 64, 64));
  }
});
