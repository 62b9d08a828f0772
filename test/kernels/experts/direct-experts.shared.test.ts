/** Experts without a plan: when they pay, and what a choice without an expert adds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import type { TuningQuestion } from '../../../src/gpu/tuning.ts';
import { prepareDirectExperts } from '../../../src/kernels/experts/direct.ts';
import { choosePath } from '../../../src/kernels/experts/path.ts';
import type { RoutedShape } from '../../../src/kernels/experts/products.ts';
import { keyOf } from '../../../src/tune/shape-key.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const shape = (numExperts: number, topK: number): RoutedShape => ({
  ...{ numExperts, topK, modelDim: 4, expertDim: 4, gated: false, activation: 'identity', residual: false },
  ...{ upDtype: 'f32', downDtype: 'f32' },
});

test.each([
  [1, 1, 1, 'direct'],
  [2, 1, 1, 'direct'],
  [8, 1, 1, 'planned'],
  [8, 2, 16, 'direct'],
  [8, 2, 4, 'planned'],
  [9, 2, 64, 'planned'],
])('%i tokens with %i of %i experts go %s by default', (numTokens, topK, experts, path) => {
  expect(choosePath(gpu, { ...shape(experts, topK), numTokens })).toBe(path);
});

test("the device's tuning has the last word, but for what cannot run", () => {
  const questions: TuningQuestion[] = [];
  gpu.tuning = { choose: (question) => (questions.push(question), question.able[1]?.name) };
  const ask = (numTokens: number) => choosePath(gpu, { ...shape(4, 2), numTokens });
  expect([ask(1), ask(8), ask(9)]).toEqual(['planned', 'direct', 'planned']);
  gpu.tuning = undefined;
  expect(questions.map(({ family, able }) => [family, ...able.map(({ name }) => name)])).toEqual([
    ['moe-path', 'direct', 'planned'],
    ['moe-path', 'planned', 'direct'],
  ]);
  expect(keyOf('moe-path', questions[0]?.shape ?? {})).toEqual({
    family: 'moe-path',
    kind: 'downDtype=f32 gated=false topK=2 upDtype=f32',
    sizes: { numTokens: 1, numExperts: 4, modelDim: 4, expertDim: 4 },
  });
});

test.each([
  [0xffffffff, 0],
  [0, 0xffffffff],
])(
  'choices of experts %i and %i: one without an expert adds nothing, not even 0 times NaN',
  async (...ids) => {
    const kernel = await prepareDirectExperts(gpu, shape(1, 2));
    const f32 = (...values: number[]) => gpu.upload('t', Float32Array.from(values));
    const ones = Array<number>(16).fill(1);
    const scores = ids.map((id) => (id === 0 ? 0.5 : NaN));
    const tensors = {
      ...{ x: f32(1, 2, 3, 4), ids: gpu.upload('ids', Uint32Array.from(ids)), scores: f32(...scores) },
      ...{ hidden: f32(...Array<number>(8).fill(NaN)), y: f32(0, 0, 0, 0) },
    };
    const weights = { w1: f32(...ones), w2: f32(...ones) };
    const commands = gpu.commands('direct');
    kernel.record(commands, 1, { ...tensors, weights });
    commands.submit();
    expect([...(await gpu.read(tensors.y, [4])).data]).toEqual([20, 20, 20, 20]);
    for (const buffer of [...Object.values(tensors), ...Object.values(weights)]) buffer.destroy();
  },
);
