/** Weights in four bits along a width that is no whole number of blocks: no message asks for half a byte. */
import { expect, test } from 'vitest';
import { product } from '../../src/core/math.ts';
import { inputsOf, opByName } from '../../src/ops/ops.ts';
import { f32Tensor, type Tensor, tensor } from '../../src/tensor/tensor.ts';

const f32 = (...shape: number[]): Tensor => f32Tensor(shape, new Float32Array(product(shape)));
const u8 = (...shape: number[]): Tensor => tensor('u8', shape, new Uint8Array(product(shape)));

const messageOf = (name: string, tensors: Record<string, Tensor>, attrs = {}): string => {
  try {
    opByName(name).check(inputsOf(opByName(name), tensors, attrs));
  } catch (error) {
    return String(error);
  }
  return 'accepted';
};

test.each([1, 16, 30, 31, 33, 48])('K = %i', (depth) => {
  const bytes = Math.floor(depth / 2);
  for (const scales of [f32(9, 1), u8(9, 1), f32(9, 0)]) {
    const given = { a: f32(1, depth), b: u8(9, bytes), b_scales: scales };
    expect(messageOf('matmul', given)).toBe(
      `ConfigError: matmul: K = ${depth} is not a multiple of 32, but b is U8, whose rows are blocks of 32 values along K, ` +
        'two to a byte. Give b as I8 or floats, or pad K.',
    );
  }
});

test.each([
  ['D', 31, 64, 'w1'],
  ['F', 64, 31, 'w2'],
] as const)('moe, %s = 31', (_name, D, F, which) => {
  const layer = { x: f32(2, D), logits: f32(2, 3), w1: f32(3, F, D), w2: f32(3, D, F) };
  const packed = which === 'w1' ? u8(3, F, 15) : u8(3, D, 15);
  const text = messageOf('moe', { ...layer, [which]: packed, [`${which}_scales`]: u8(3, 64, 1) }, { k: 1 });
  expect(text).toMatch(
    new RegExp(`^ConfigError: moe: [DF] = 31 is not a multiple of 32, but ${which} is U8`),
  );
  expect(text).not.toMatch(/\d\.\d/);
});
