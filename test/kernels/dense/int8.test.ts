/** Activations in int8: taken only when named, within the budget that is told, and f32 where int8 holds no value. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import type { TuningQuestion } from '../../../src/gpu/tuning.ts';
import { prepareGemm } from '../../../src/kernels/dense/gemm.ts';
import { roundingError } from '../../../src/ops/dense/rounded-operands.ts';
import { runOp } from '../../../src/ops/ops.ts';
import { quantisedTensors } from '../../../src/ops/quantised-inputs.ts';
import { quantise } from '../../../src/tensor/quantise.ts';
import { f32Tensor } from '../../../src/tensor/tensor.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const shape = { numRows: 2, numCols: 3, depth: 4, weightDtype: 'int8' } as const;

test('the tuner is not asked about it, and told why', async () => {
  const asked: TuningQuestion[] = [];
  gpu.tuning = {
    choose: (question) => {
      asked.push(question);
      return 'plain';
    },
  };
  expect((await prepareGemm(gpu, shape)).variant).toBe('plain');
  gpu.tuning = undefined;
  expect(asked.flatMap(({ able }) => able.map(({ name }) => name))).not.toContain('int8');
  expect(asked[0]?.refused.find(({ name }) => name === 'int8')?.reason).toMatch(
    /rounds operands to int8 and has a budget of its own/,
  );
});

test.each([
  ['other weights', { ...shape, weightDtype: 'f32' as const }, /its weights are int8, these are f32/],
  ['a depth whose sums leave 32 bits', { ...shape, depth: 133148 }, /K = 133148 exceeds 133144/],
  ['a depth that is not in fours', { ...shape, depth: 6 }, /K = 6 is not a multiple of 4/],
])('%s: refused in words', async (_what, asked, message) => {
  await expect(prepareGemm(gpu, asked, 'int8')).rejects.toThrow(message);
});

test('a row is off by at most half of 127 steps times the weights of its column; one with Inf is exact', async () => {
  // Steps of 1/127: 0.5 lies between two, and 127 of them are exact.
  const a = f32Tensor([2, 4], [1, 0.5, 0, 0, 1, 1, Infinity, 0.5]);
  const b = f32Tensor([3, 4], [127, 0, 0, 0, 0, 127, 0, 0, 0, 0, 127, 127]);
  const inputs = new Map([['a', a], ...Object.entries(quantisedTensors('b', quantise(b, 'int8')))]);
  const got = [...((await runOp(gpu, 'matmul', inputs, {}, 'int8')).get('c')?.data ?? [])];
  expect(got[0]).toBeCloseTo(127, 4);
  expect(Math.abs((got[1] ?? NaN) - 63.5)).toBeCloseTo(0.5, 4);
  expect(got[2]).toBe(0);
  // As float64 has it: 0 times Infinity is NaN.
  expect(got.slice(3)).toEqual([NaN, NaN, Infinity]);
  const budget = roundingError(
    'int8',
    'int8',
  )({
    ...{ terms: 63.5, depth: 4, a: { most: 1, sum: 1.5 }, b: { most: 127, sum: 127 } },
  });
  expect(budget).toBeGreaterThanOrEqual(0.5);
  expect(budget).toBeLessThan(0.501);
});
