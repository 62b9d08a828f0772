/** Experts on rounded operands: taken only when named, within the budget that is told, and wrong ways refused in words. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import { type ExpertShape, expertVariants, prepareExpertGemm } from '../../../src/kernels/experts/experts.ts';
import { onlyWhenNamed } from '../../../src/kernels/own-budget.ts';
import { roundingError } from '../../../src/ops/dense/rounded-operands.ts';
import { moe } from '../../../src/ops/moe/moe.ts';
import { inputsOf } from '../../../src/ops/ops.ts';
import { moeMoves } from '../../../src/reference/moe.ts';
import { f32Tensor } from '../../../src/tensor/tensor.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => gpu.destroy());

const shape: ExpertShape = {
  ...{ numExperts: 2, depth: 8, numCols: 4, weightDtype: 'int8', rowsPerExpert: 64 },
  ...{ gated: true, biased: false, activation: 'silu' },
};

describe('refused in words', () => {
  test.each([
    ['int8', { ...shape, weightDtype: 'int4' as const }, /its weights are int8, these are int4/],
    ['int8', { ...shape, depth: 133148 }, /K = 133148 exceeds 133144/],
    ['int8', { ...shape, depth: 6 }, /the input width 6 is not a multiple of 4/],
    ['f16', { ...shape, depth: 6 }, /the input width 6 is not a multiple of 4/],
  ])('%s of %j', async (variant, asked, message) => {
    await expect(prepareExpertGemm(gpu, asked, variant)).rejects.toThrow(message);
  });

  test('f16 on an adapter without it', () => {
    const refusal = expertVariants.find(({ name }) => name === 'f16')?.refusal(shape, gpu);
    expect(refusal).toBe(gpu.has('shader-f16') ? undefined : 'the adapter does not offer shader-f16');
  });
});

test('nobody takes them unasked, and is told why', () => {
  expect(onlyWhenNamed('moe', 'f16')).toMatch(/^it sums in f16 and has a budget of its own/);
  expect(onlyWhenNamed('moe', 'int8')).toMatch(/^it rounds operands to int8 and has a budget of its own/);
  expect(onlyWhenNamed('moe', 'blocked')).toBeUndefined();
});

test('an error of the first product moves the second by its slope and its weights, and the second has its own', () => {
  const [x, w1, w3, w2] = [
    [1, -2],
    [2, 1],
    [3, 0],
    [5, -4],
  ].map((v) => Float64Array.from(v)) as [Float64Array, Float64Array, Float64Array, Float64Array];
  const layer = {
    ...{ x_TD: x, w1_EFD: w1, w3_EFD: w3, w2_EDF: w2, activation: 'identity' as const },
    ...{ numExperts: 1, modelDim: 2, expertDim: 1, logits_TE: Float64Array.of(0), topK: 1 },
    ...{ score: 'softmax' as const, renormalize: false },
  };
  // gate = 0, up = 3: hidden = 0. Each first product is off by 1: the gate moves it by 1.13 (3 + 1), the up value by 0.
  const moved = moeMoves(layer, { up: () => 1, down: ({ a, b, terms }) => a.most + b.sum + terms });
  const hidden = 1.13 * 4;
  const expected = [5, 4].map((w) => w * hidden + (hidden + w + w * hidden));
  expect([...moved].map((v) => v.toFixed(9))).toEqual(expected.map((v) => v.toFixed(9)));
});

test('sums in f16 cost what 16 roundings cost, and the least numbers of f16 beside the largest of a row', () => {
  const of = { terms: 1, depth: 1, a: { most: 8, sum: 8 }, b: { most: 64, sum: 64 } };
  const run = (16 * 2 ** -11) / (1 - 16 * 2 ** -11);
  const relative = (1 + 2 ** -10 + 2 ** -22) * (1 + run) - 1;
  expect(roundingError('f16 sums', 'f32')(of)).toBeCloseTo(relative + 2 ** -14 * (64 + 1) + 2 ** -14 * 8, 12);
  expect(roundingError('f16 sums', 'f32')({ ...of, a: { most: Infinity, sum: Infinity } })).toBe(0);
});

test('the budget of a variant that rounds is wider than that of the others, by the op itself', () => {
  const inputs = inputsOf(
    moe,
    {
      ...{ x: f32Tensor([1, 4], [1, 2, 3, 4]), logits: f32Tensor([1, 1], [0]) },
      ...{
        w1: f32Tensor(
          [1, 4, 4],
          Array.from({ length: 16 }, (_, i) => i / 16),
        ),
      },
      w2: f32Tensor(
        [1, 4, 4],
        Array.from({ length: 16 }, (_, i) => 1 - i / 16),
      ),
    },
    { k: 1 },
  );
  const budgetOf = (variant?: string): Float64Array => {
    const budget = moe.reference(inputs, undefined, variant).get('y')?.budget;
    return budget !== undefined && 'perElement' in budget ? budget.perElement : new Float64Array();
  };
  const [own, others] = [budgetOf('f16'), budgetOf('tiled')];
  expect(own.every((v, i) => v > 100 * (others[i] ?? NaN))).toBe(true);
  expect(budgetOf()).toEqual(others);
});
