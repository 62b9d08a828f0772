/** Attention and rope beyond 65,535 workgroups: several dispatches, and every row of the result. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at, product } from '../../../src/core/math.ts';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import { prepareAttention } from '../../../src/kernels/attention/attention.ts';
import { attentionVariants, type AttentionShape } from '../../../src/kernels/attention/variants.ts';
import { inputsOf, opByName, runOp } from '../../../src/ops/ops.ts';
import { f32Tensor, type Tensor } from '../../../src/tensor/tensor.ts';
import { testPlatform } from '../../setup/gpu.ts';
import { onePerShader, someOf } from '../one-per-shader.ts';

const MANY = 70_000;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const filled = (shape: readonly number[], value: (i: number) => number): Tensor =>
  f32Tensor(
    shape,
    Float32Array.from({ length: product(shape) }, (_, i) => value(i)),
  );

/** With one key a row of the result is its head's value. */
function expectValues(got: Tensor | undefined, value: (row: number) => number, what: string): void {
  const data = got?.data ?? [];
  let wrong = 0;
  for (let i = 0; i < data.length; i++) if (at(data, i) !== value(Math.floor(i / 4))) wrong += 1;
  expect([what, data.length, wrong]).toEqual([what, 4 * MANY, 0]);
}

test('70,000 heads', async () => {
  const shape = [1, 1, MANY, 4];
  const tensors = {
    ...{ q: filled(shape, () => 1), k: filled(shape, () => 1) },
    v: filled(shape, (i) => Math.floor(i / 4)),
  };
  const op = opByName('attention');
  const inputs = inputsOf(op, tensors);
  for (const variant of someOf(onePerShader(op.able(gpu, inputs)), 0)) {
    const got = (await runOp(gpu, 'attention', inputs.tensors, {}, variant)).get('o');
    expectValues(got, (row) => row, variant);
  }
});

const KERNEL: AttentionShape = {
  ...{ numHeads: 1, numKvHeads: 1, headDim: 4, causal: false, scale: 1 },
  ...{ cacheLength: 1, queries: 1 },
};

test.each([
  ['queries of one sequence', { numSequences: 1, maxQueries: MANY }],
  ['sequences of one query', { numSequences: MANY, maxQueries: 1 }],
])('70,000 %s at once', async (_what, counts) => {
  const able = attentionVariants.filter(({ refusal }) => refusal(KERNEL, gpu) === undefined);
  for (const { name } of someOf(able, counts.maxQueries === 1 ? 1 : 2)) {
    const kernel = await prepareAttention(gpu, KERNEL, name);
    const rows = counts.maxQueries === 1 ? MANY : 1;
    const table = Uint32Array.from({ length: 4 * rows }, (_, i) =>
      at([Math.floor(i / 4), counts.maxQueries, 1, 0], i % 4),
    );
    const [q, k] = [gpu.elements('q', 4 * MANY), gpu.upload('k', new Float32Array(4))];
    const [v, o] = [gpu.upload('v', new Float32Array(4).fill(3)), gpu.elements('o', 4 * MANY)];
    const sequences = gpu.upload('sequences', table);
    const scratch = gpu.elements('scratch', Math.max(4, kernel.scratchWords(MANY)));
    const commands = gpu.commands(name);
    kernel.record(commands, counts, { q, k, v, sequences, o, scratch });
    commands.submit();
    expectValues(await gpu.read(o, [MANY, 4]), () => 3, name);
    for (const buffer of [q, k, v, o, sequences, scratch]) buffer.destroy();
  }
});

test('rope of heads that take more than 65,535 workgroups, in both variants', async () => {
  // 130 rows in 4,096 (rows) or 65,536 / 2 pairs of 64: beyond 65,535 workgroups of either kernel.
  const [rows, headDim] = [130, 65_536];
  const one = Float32Array.from({ length: headDim }, (_, i) => (i % 7) - 3);
  const x = new Float32Array(rows * headDim);
  for (let row = 0; row < rows; row++) x.set(one, row * headDim);
  const tensors = new Map([['x', f32Tensor([rows, 1, 1, headDim], x)]]);
  for (const variant of ['default', 'rows']) {
    const y = (await runOp(gpu, 'rope', tensors, { offset: 5 }, variant)).get('y')?.data ?? [];
    let wrong = 0;
    for (let i = 0; i < y.length; i++) if (at(y, i) !== at(y, i % headDim)) wrong += 1;
    expect([variant, y.length, wrong]).toEqual([variant, rows * headDim, 0]);
    const turned = at(one, 1) * Math.cos(5 * 10000 ** (-2 / headDim)) - at(one, 1 + headDim / 2) * Math.sin(5 * 10000 ** (-2 / headDim)); // prettier-ignore
    expect(at(y, 1)).toBeCloseTo(turned, 5);
  }
});
