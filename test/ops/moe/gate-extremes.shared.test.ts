/** The choice of experts where f32 scores saturate, underflow or tie: every variant against float64. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at, range } from '../../../src/core/math.ts';
import { seededRandom, seedOf, type Random } from '../../../src/core/random.ts';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import type { AttrValue, OpInputs } from '../../../src/ops/op.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { compare, describe as told } from '../../../src/tensor/compare.ts';
import { f32Tensor, type Tensor, toF64 } from '../../../src/tensor/tensor.ts';
import { testPlatform } from '../../setup/gpu.ts';

const op = opByName('gate-topk');

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

async function run(inputs: OpInputs, variant: string): Promise<Map<string, Tensor>> {
  const prepared = await op.prepare(gpu, inputs, variant);
  const commands = gpu.commands('extremes');
  prepared.record(commands);
  commands.submit();
  const got = await prepared.read();
  prepared.destroy();
  return got;
}

const row = (...values: number[]): Tensor => f32Tensor([1, values.length], values);
const bias = (...values: number[]): Tensor => f32Tensor([values.length], values);

describe.each(op.variants.map(({ name }) => name))('%s', (variant) => {
  const chosen = async (
    tensors: Record<string, Tensor>,
    attrs: Record<string, AttrValue>,
  ): Promise<{ ids: number[]; scores: number[] }> => {
    const got = await run(inputsOf(op, tensors, attrs), variant);
    return { ids: [...(got.get('ids')?.data ?? [])], scores: [...(got.get('scores')?.data ?? [])] };
  };
  const expectScores = (got: readonly number[], want: readonly number[]): void => {
    expect(got).toHaveLength(want.length);
    got.forEach((value, k) => expect(Math.abs(value / at(want, k) - 1)).toBeLessThan(1e-5));
  };
  // e : 1
  const [more, less] = [0.7310585786300049, 0.2689414213699951];

  test.each(['sigmoid', 'softmax'])(
    '%s: scores that underflow are renormalised by their ratio',
    async (score) => {
      const attrs = { k: 2, score, renormalize: true };
      const low = await chosen({ logits: row(-100, -120, -99, -300) }, attrs);
      expect(low.ids).toEqual([2, 0]);
      expectScores(low.scores, [more, less]);
      // The bias chooses experts whose scores underflow beside the highest of a softmax.
      const behind = { logits: row(200, 0, 1, -70), bias: bias(0, 2, 2, 0) };
      if (score === 'sigmoid') behind.logits = row(-4, -201, -200, -300);
      const biased = await chosen(behind, attrs);
      expect(biased.ids).toEqual([2, 1]);
      expectScores(biased.scores, [more, less]);
    },
  );

  test('a score that underflows beside one that does not', async () => {
    const attrs = { k: 2, score: 'sigmoid', renormalize: true, scale: 1e30 };
    const { ids, scores } = await chosen({ logits: row(-90, -300, 0, -300) }, attrs);
    expect(ids).toEqual([2, 0]);
    expectScores(scores, [1e30, 2 * Math.exp(-90) * 1e30]);
  });

  test.each(['sigmoid', 'softmax'])('%s: a scale brings back what underflows', async (score) => {
    const { ids, scores } = await chosen(
      { logits: row(-95, -400, -95, -96, 0) },
      { k: 4, score, scale: 1e30 },
    );
    expect(ids).toEqual([4, 0, 2, 3]);
    const top = score === 'sigmoid' ? 0.5 : 1;
    expectScores(scores, [top * 1e30, Math.exp(-95) * 1e30, Math.exp(-95) * 1e30, Math.exp(-96) * 1e30]);
  });

  test('a share of nothing is zero, whatever the distance of the logits', async () => {
    const logits = row(0, -200, -1e8, -3e38);
    for (const score of ['sigmoid', 'softmax']) {
      const { ids, scores } = await chosen({ logits }, { k: 4, score, renormalize: true });
      expect(ids).toEqual([0, 1, 2, 3]);
      expect(scores).toEqual([1, 0, 0, 0]);
    }
  });

  test('saturated sigmoids keep the order of their logits, with any bias that they share', async () => {
    const logits = row(20, 21, 22, 23);
    for (const b of [
      [0, 0, 0, 0],
      [0.5, 0.5, 0.5, 0.5],
      [0.25, -3, 0.25, 0.25],
    ]) {
      const { ids } = await chosen({ logits, bias: bias(...b) }, { k: 2, score: 'sigmoid' });
      expect(ids).toEqual([3, 2]);
    }
  });

  test('what a large bias swallows still counts', async () => {
    const attrs = { k: 3, score: 'sigmoid' };
    const equal = await chosen({ logits: row(0, 1e-4, -1e-4, -5), bias: bias(1e6, 1e6, 1e6, 0) }, attrs);
    expect(equal.ids).toEqual([1, 0, 2]);
    const soft = await chosen(
      { logits: row(0, -150, -140, -160), bias: bias(-0.5, 1, 1, 1) },
      { k: 3, score: 'softmax' },
    );
    expect(soft.ids).toEqual([2, 1, 3]);
  });

  test('saturated sigmoids of different biases are in the order of their sums', async () => {
    // 1 - e^-20 + 0 = 1 - 2.06e-9; 1 - e^-21 - 1.5e-9 = 1 - 2.26e-9; 1 - e^-21 - 1.2e-9 = 1 - 1.96e-9.
    const { ids } = await chosen(
      { logits: row(20, 21, 21, 0), bias: bias(0, -1.5e-9, -1.2e-9, 0) },
      { k: 3, score: 'sigmoid' },
    );
    expect(ids).toEqual([2, 0, 1]);
  });

  test('groups whose scores underflow are in the order of their logarithms', async () => {
    const attrs = { k: 4, groups: 3, groups_kept: 2 };
    const soft = await chosen({ logits: row(0, 0, -300, -301, -150, -151) }, attrs);
    expect(soft.ids).toEqual([0, 1, 4, 5]);
    const low = await chosen(
      { logits: row(-290, -301, -150, -151, -149.9, -170) },
      { ...attrs, score: 'sigmoid' },
    );
    // log(e^-150 + e^-151) = -149.69, log(e^-149.9 + e^-170) = -149.9.
    expect(low.ids).toEqual([4, 2, 3, 5]);
    const one = await chosen(
      { logits: row(-290, -301, -149.9, -170, -150, -151) },
      { ...attrs, k: 2, groups_kept: 1, score: 'sigmoid' },
    );
    expect(one.ids).toEqual([4, 5]);
  });

  test('groups of saturated sigmoids are in the order of what they lack of 2', async () => {
    // e^-20 + e^-30 > e^-21 + e^-21, though the first has the highest logit.
    const attrs = { k: 2, groups: 3, groups_kept: 1, score: 'sigmoid' };
    const { ids } = await chosen({ logits: row(0, 0, 20, 30, 21, 21) }, attrs);
    expect(ids).toEqual([4, 5]);
    const zero = { logits: row(0, 0, 20, 30, 21, 21), bias: bias(0, 0, 0, 0, 0, 0) };
    expect((await chosen(zero, attrs)).ids).toEqual([4, 5]);
    const biased = { logits: row(0, 0, 20, 30, 21, 21), bias: bias(-1, 0, 0.5, 0.5, 0.5, 0.5) };
    expect((await chosen(biased, attrs)).ids).toEqual([4, 5]);
  });

  test('one bias for all counts once in a group with one expert left', async () => {
    // 0.9 + 1 against 0.5 + 0.5 + 2.
    const logits = row(Math.log(9), -Infinity, 0, 0);
    const attrs = { k: 1, groups: 2, groups_kept: 1, score: 'sigmoid' };
    expect((await chosen({ logits, bias: bias(1, 1, 1, 1) }, attrs)).ids).toEqual([2]);
    expect((await chosen({ logits: row(3, -Infinity, -1, -2), bias: bias(0, 0, 0, 0) }, attrs)).ids).toEqual([
      0,
    ]);
  });

  const TOKENS = 96;
  const EXPERTS = 16;
  const MODES: readonly (readonly [string, Record<string, AttrValue>])[] = [
    ['sigmoid', { k: 5, score: 'sigmoid' }],
    ['softmax', { k: 6 }],
    ['softmax, groups by two', { k: 3, groups: 4, groups_kept: 2 }],
    ['sigmoid, groups by two', { k: 4, groups: 8, groups_kept: 3, score: 'sigmoid' }],
    [
      'sigmoid, groups by their best',
      { k: 4, groups: 8, groups_kept: 3, score: 'sigmoid', group_score: 'max' },
    ],
  ];
  describe.each(MODES)('%s', (name, attrs) => {
    test.each(['no', 'one', 'mixed'])('hard logits with %s bias', async (kind) => {
      const random = seededRandom(seedOf(`gate extremes ${name} ${kind}`));
      const logits = f32Tensor(
        [TOKENS, EXPERTS],
        range(TOKENS).flatMap((t) => hardRow(random, EXPERTS, t)),
      );
      const biases = range(EXPERTS).map(() =>
        kind === 'one' ? 0.3 : at([0, 0.1, 0.1, -0.7, 1000, 1e-9], random.integer(6)),
      );
      const tensors = { logits, ...(kind !== 'no' && { bias: f32Tensor([EXPERTS], biases) }) };
      for (const more of [{}, { renormalize: true }, { scale: 1e20 }, { renormalize: true, scale: -2.5 }]) {
        const inputs = inputsOf(op, tensors, { ...attrs, ...more });
        const got = await run(inputs, variant);
        for (const [output, { values, shape, budget }] of op.reference(inputs, got)) {
          const result = compare(toF64(got.get(output) ?? row()), values, shape, budget);
          expect(result.pass, told(output, result)).toBe(true);
        }
      }
    });
  });
});

/** Normal, wide, far below, saturated, equal, huge, subnormal, far apart by groups of two, partly masked, close. */
function hardRow(random: Random, experts: number, kind: number): number[] {
  return range(experts).map((e) => {
    switch (kind % 10) {
      case 0:
        return random.normal(1.5);
      case 1:
        return random.normal(40);
      case 2:
        return -88 - 200 * random.uniform();
      case 3:
        return 15 + 40 * random.uniform();
      case 4:
        return 0.75;
      case 5:
        return (random.uniform() - 0.5) * 10 ** (4 + random.integer(34));
      case 6:
        return (random.integer(9) - 4) * 2 ** -149;
      case 7:
        return at([0, -150, -300, 50], Math.floor(e / 2) % 4) + random.normal();
      case 8:
        return e % 16 < 2 ? -Infinity : random.normal(20);
      default:
        return 1 + random.integer(8) * 2 ** -23;
    }
  });
}
