/** What the ops promise beyond their numbers: dtypes of outputs, runs of long work, and heads of ranks. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { kvHeadsOf } from '../../src/ops/attention/kv-heads.ts';
import { runOp } from '../../src/ops/ops.ts';
import { rowRuns } from '../../src/ops/row-runs.ts';
import { castFloat, f32Tensor, type Tensor, toF32 } from '../../src/tensor/tensor.ts';
import { maker } from '../../src/validate/draw/maker.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const run = (name: string, tensors: Record<string, Tensor>, attrs = {}, variant?: string) =>
  runOp(gpu, name, new Map(Object.entries(tensors)), attrs, variant);

test('outputs are F16 when every float input is', async () => {
  const a = f32Tensor([1, 2], [1, 2]);
  const half = (t: Tensor): Tensor => castFloat(t, 'f16');
  expect((await run('matmul', { a: half(a), b: half(a) })).get('c')).toMatchObject({
    dtype: 'f16',
    shape: [1, 1],
  });
  expect((await run('matmul', { a, b: half(a) })).get('c')).toMatchObject({
    dtype: 'f32',
    data: Float32Array.of(5),
  });
  const ids = (await run('gate-topk', { logits: half(a) }, { k: 1 })).get('ids');
  expect(ids).toMatchObject({ dtype: 'i32', data: Int32Array.of(1) });
});

test.each([1, 5])('an infinite weight stays infinite in every variant of matmul, %i rows', async (rows) => {
  const a = f32Tensor([rows, 8], Array<number>(rows * 8).fill(1));
  const b = f32Tensor([1, 8], [1, 1, 1, 1, 1, 1, 1, Infinity]);
  const able = ['plain', 'tiled', 'row', ...(gpu.has('subgroups') ? ['vector', 'subgroup'] : [])];
  for (const variant of able) {
    const c = (await run('matmul', { a, b }, {}, variant)).get('c');
    expect([...(c?.data ?? [])], variant).toEqual(Array<number>(rows).fill(Infinity));
  }
});

test('NaN goes through where there is no order to keep', async () => {
  const x = f32Tensor([2, 2], [NaN, 1, 3, 4]);
  const y = (await run('rms-norm', { x, weight: f32Tensor([2], [1, 1]) })).get('y');
  expect([...(y?.data ?? [])].map(Number.isNaN)).toEqual([true, true, false, false]);
});

test('more queries than keys without a causal mask: each query by itself', async () => {
  const make = maker('cross attention');
  const [q, k, v] = [make.normal([1, 9, 2, 8]), make.normal([1, 4, 2, 8]), make.normal([1, 4, 2, 8])];
  const all = (await run('attention', { q, k, v }, { causal: 0 }, 'plain')).get('o');
  for (const i of range(9)) {
    const own = f32Tensor([1, 1, 2, 8], toF32(q).slice(i * 16, (i + 1) * 16));
    const one = (await run('attention', { q: own, k, v }, { causal: 0 }, 'plain')).get('o');
    expect(one?.data).toEqual(all?.data.slice(i * 16, (i + 1) * 16));
  }
});

test('rowRuns cuts rows into aligned runs that cover all of them', () => {
  expect(rowRuns(gpu, 0, 1)).toEqual([]);
  expect(rowRuns(gpu, 100, 1)).toEqual([{ first: 0, count: 100 }]);
  expect(rowRuns(gpu, 150, 1e15)).toEqual([
    { first: 0, count: 64 },
    { first: 64, count: 64 },
    { first: 128, count: 22 },
  ]);
  expect(rowRuns(gpu, 300, 1, 200).map((rows) => rows.count)).toEqual([192, 108]);
});

test('a product in many runs has the bits of one in a single run', async () => {
  const make = maker('long product');
  const [a, b] = [make.normal([8200, 5]), make.normal([3, 5])];
  const all = (await run('matmul', { a, b }, {}, 'plain')).get('c');
  const tail = f32Tensor([10, 5], toF32(a).slice(-50));
  expect((await run('matmul', { a: tail, b }, {}, 'plain')).get('c')?.data).toEqual(all?.data.slice(-30));
});

test('kvHeadsOf: the examples in its comment', () => {
  expect(kvHeadsOf({ numHeads: 8, numKvHeads: 2, tp: 4 }, 1)).toEqual([0]);
  expect(kvHeadsOf({ numHeads: 12, numKvHeads: 4, tp: 3 }, 0)).toEqual([0, 0, 0, 1]);
  expect(kvHeadsOf({ numHeads: 8, numKvHeads: 4, tp: 2 }, 1)).toEqual([2, 3]);
});
