/** What takes no part is absent, whatever its numbers are: dropped choices, groups of experts that are not kept. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planScratchWords } from '../../src/core/plan-sizes.ts';
import { prepareCombine } from '../../src/kernels/routing/rows.ts';
import { inputsOf, opByName, runOp } from '../../src/ops/ops.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

test.each([NaN, Infinity, 3])(
  'a choice without a slot adds nothing, though its score is %d',
  async (score) => {
    const combine = await prepareCombine(gpu, { width: 2, topK: 2, residual: false });
    const t = {
      expertOut: gpu.upload('rows', Float32Array.of(1, 2, 30, 40)),
      slot: gpu.upload('slot', Uint32Array.of(0xffffffff, 1, 0, 0xffffffff)),
      scores: gpu.upload('scores', Float32Array.of(score, 0.5, 2, score)),
      y: gpu.elements('y', 4),
    };
    const commands = gpu.commands('combine');
    combine.record(commands, 2, t);
    commands.submit();
    expect([...(await gpu.read(t.y, [4])).data]).toEqual([15, 20, 2, 4]);
    for (const buffer of Object.values(t)) buffer.destroy();
  },
);

test.each(opByName('gate-topk').variants.map(({ name }) => name))(
  '%s: of two equal groups the first is kept alone',
  async (variant) => {
    const logits = f32Tensor([1, 4], [5, 1, 5, 4]);
    const attrs = { k: 2, groups: 2, groups_kept: 1, group_score: 'max' };
    const out = await runOp(gpu, 'gate-topk', new Map([['logits', logits]]), attrs, variant);
    expect([...(out.get('ids')?.data ?? [])]).toEqual([0, 1]);
  },
);

test.each(opByName('matmul').variants.map(({ name }) => name))(
  '%s: an infinite row of weights stays in its own column',
  async (variant) => {
    // 5 values a row: what lies behind a row is the next one.
    const [a, b] = [f32Tensor([2, 5], Array<number>(10).fill(1)), new Float32Array(15).fill(1)];
    b[5] = Infinity;
    const inputs = new Map([['a', a], ['b', f32Tensor([3, 5], b)]]); // prettier-ignore
    const op = opByName('matmul');
    if (!op.able(gpu, inputsOf(op, inputs)).includes(variant)) return;
    const out = await runOp(gpu, 'matmul', inputs, {}, variant);
    expect([...(out.get('c')?.data ?? [])]).toEqual([5, Infinity, 5, 5, Infinity, 5]);
  },
);

test('scratch of a plan: a counter per block of 1,024 choices and expert, at least one block', () => {
  expect([0, 1, 1024, 1025, 4096].map((choices) => planScratchWords(choices, 7))).toEqual([7, 7, 7, 14, 28]);
});
