/** Keys in pages: the same as keys in a row, and tables and lengths that do not fit are refused. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { product } from '../../../src/core/math.ts';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import { inputsOf, opByName, runOp } from '../../../src/ops/ops.ts';
import { f32Tensor, type Tensor, tensor, toF32 } from '../../../src/tensor/tensor.ts';
import { maker } from '../../../src/validate/draw/maker.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const integers = (shape: readonly number[], values: readonly number[]): Tensor =>
  tensor('i32', shape, Int32Array.from(values));

test('pages 2, 0 hold the keys 0..3 and 4..7: the bits of keys in a row', async () => {
  const make = maker('pages');
  const [q, k, v] = [make.normal([1, 3, 2, 4]), make.normal([1, 8, 1, 4]), make.normal([1, 8, 1, 4])];
  const paged = (t: Tensor): Tensor => {
    const keys = toF32(t);
    return f32Tensor(
      [3, 4, 1, 4],
      [...keys.slice(16), ...new Float32Array(16).fill(NaN), ...keys.slice(0, 16)],
    );
  };
  const given = { k_pages: paged(k), v_pages: paged(v), kv_lengths: integers([1], [8]) };
  const tensors = { q, ...given, block_table: integers([1, 2], [2, 0]) };
  for (const variant of ['plain', 'decode']) {
    const got = (await runOp(gpu, 'paged-attention', new Map(Object.entries(tensors)), {}, variant)).get('o');
    const want = (await runOp(gpu, 'attention', new Map(Object.entries({ q, k, v })), {}, variant)).get('o');
    expect(got?.data, variant).toEqual(want?.data);
  }
});

const zeros = (...shape: number[]): Tensor => f32Tensor(shape, new Float32Array(product(shape)));

test.each([
  [
    'a page outside',
    [0, 7],
    5,
    /block_table\[0, 1\] is 7, outside of the 3 pages \(N\).*Give a page in 0..2/,
  ],
  ['a page that is not there', [-1, 1], 3, /block_table\[0, 0\] is -1, outside of the 3 pages/],
  [
    'more keys than pages',
    [0, 1],
    9,
    /kv_lengths\[0\] is 9, but its 2 pages \(P\) of 4 keys \(R\) hold 8. Give a block_table with at least 3 columns/,
  ],
  [
    'fewer keys than queries',
    [0, 1],
    1,
    /kv_lengths\[0\] is 1, but the 2 queries \(Sq\) are the last positions/,
  ],
])('refuses %s', (_what, table, length, message) => {
  const op = opByName('paged-attention');
  const pages = { k_pages: zeros(3, 4, 1, 4), v_pages: zeros(3, 4, 1, 4) };
  const tables = { block_table: integers([1, table.length], table), kv_lengths: integers([1], [length]) };
  expect(() => op.check(inputsOf(op, { q: zeros(1, 2, 1, 4), ...pages, ...tables }))).toThrow(message);
});
