/** Experts without a plan: when they pay, and what a choice without an expert adds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import { directPays, prepareDirectExperts } from '../../../src/kernels/experts/direct.ts';
import type { ExpertShape } from '../../../src/kernels/experts/experts.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const product = (numExperts: number): ExpertShape => ({
  ...{ numExperts, depth: 4, numCols: 4, weightDtype: 'f32', gated: false, biased: false },
  ...{ activation: 'identity', rowsPerExpert: 1 },
});
const shape = (numExperts: number, topK: number) => ({
  ...{ up: product(numExperts), down: product(numExperts), topK, residual: false },
});

test.each([
  [1, 1, 1, true],
  [2, 1, 1, true],
  [8, 1, 1, false],
  [8, 2, 16, true],
  [8, 2, 4, false],
  [9, 2, 64, false],
])('%i tokens with %i of %i experts: %s', (tokens, topK, experts, pays) => {
  expect(directPays(shape(experts, topK), tokens)).toBe(pays);
});

test('a choice without an expert adds nothing, not even 0 times NaN', async () => {
  const kernel = await prepareDirectExperts(gpu, shape(1, 2));
  const f32 = (...values: number[]) => gpu.upload('t', Float32Array.from(values));
  const ones = Array<number>(16).fill(1);
  const tensors = {
    ...{ x: f32(1, 2, 3, 4), ids: gpu.upload('ids', Uint32Array.of(0, 0xffffffff)), scores: f32(0.5, NaN) },
    ...{ w1: f32(...ones), w2: f32(...ones), hidden: f32(...Array<number>(8).fill(NaN)), y: f32(0, 0, 0, 0) },
  };
  const commands = gpu.commands('direct');
  kernel.record(commands, 1, tensors);
  commands.submit();
  expect([...(await gpu.read(tensors.y, [4])).data]).toEqual([20, 20, 20, 20]);
  for (const buffer of Object.values(tensors)) buffer.destroy();
});
