/** A routed layer of an engine by itself: checked, its parts told apart, and the bias controller where an engine has it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CheckError, ConfigError } from '../../src/core/errors.ts';
import { at, range, sum } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { checkLayer } from '../../src/laboratory/layer/check.ts';
import { trainBiasOnDevice } from '../../src/laboratory/layer/controller.ts';
import { measureCost } from '../../src/laboratory/layer/cost.ts';
import { openLayer, type LayerSizes } from '../../src/laboratory/layer/open-layer.ts';
import { partOf } from '../../src/laboratory/layer/parts.ts';
import { logitsOfScores } from '../../src/laboratory/layer/routed-model.ts';
import { trainBias } from '../../src/laboratory/train-bias.ts';
import { chooseClock } from '../../src/measure/stopwatch.ts';
import { logitsOf } from '../../src/routing/trace/generate.ts';
import { placementOf } from '../../src/routing/placement.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

// The sizes of the engines' tests: their kernels are compiled already.
const SIZES: LayerSizes = {
  ...{ numTokens: 50, numExperts: 6, topK: 2, modelDim: 64, expertDim: 32, ranks: 2 },
  ...{ score: 'softmax', weightDtype: 'f32' },
};
const ZIPF = { name: 'zipf', value: 1.2 } as const;
const rule = { convention: 'megatron', factor: 0.75, scope: 'rank' } as const;

function tokens(count: number, seed = 1): Float64Array[] {
  const next = logitsOf(ZIPF, { numExperts: 6, topK: 2, seed });
  return range(count).map(() => next());
}

test('parts add up to the layer, which is checked before and gives the same bits every time', async () => {
  const placement = placementOf(
    [
      [0, 3, 1],
      [1, 2, 4, 5],
    ],
    6,
  );
  const routing = { placement, capacity: { policy: 'spill', rule }, balancer: { rate: 0.001 } } as const;
  const layer = await openLayer(gpu, SIZES, routing);
  try {
    layer.give(tokens(50));
    const rounds = { budgetNs: 1, leastRounds: 2, mostRounds: 2 };
    const cost = await measureCost(gpu, layer, await chooseClock(gpu), rounds);
    expect(cost.check).toMatchObject({ choices: { equal: 50, compared: 50 }, slots: 100 });
    expect(cost).toMatchObject({ rounds: 2, runsWithSameBits: 4, hostWaits: 0 });
    const of = (name: string) => cost.parts.find(({ part }) => part === name);
    expect([of('capacity')?.dispatches, of('balancing')?.dispatches]).toEqual([1, 1]);
    for (const part of ['plan', 'dispatch', 'experts', 'return', 'combine']) {
      expect(of(part)?.dispatches, part).toBeGreaterThan(0);
      expect(of(part)?.ns.median, part).toBeGreaterThan(0);
    }
    // Medians of two are means.
    expect(sum(cost.parts.map(({ share }) => share.median))).toBeCloseTo(1, 9);
    const routed = ['top-k', 'capacity', 'plan'].map((name) => of(name)?.share.median ?? NaN);
    expect(cost.routing.share.median).toBeCloseTo(sum(routed), 9);
    expect(cost.balancing.share.median).toBeCloseTo(of('balancing')?.share.median ?? NaN, 9);
  } finally {
    layer.destroy();
  }
});

test('a layer that chooses or drops other rows than the host is told', async () => {
  const layer = await openLayer(gpu, SIZES, { capacity: { policy: 'drop-position', rule } });
  try {
    layer.give(tokens(50));
    const { dropped } = await checkLayer(gpu, layer);
    expect(dropped).toBeGreaterThan(0);
    const others = { ...layer, logits: tokens(50, 2) };
    await expect(checkLayer(gpu, others)).rejects.toThrow(/other experts than in float64/);
    const { admission } = layer.plan;
    const roomy = admission && { ...admission, rule: { ...rule, factor: 2 } };
    const wrong = checkLayer(gpu, { ...layer, plan: { ...layer.plan, admission: roomy } });
    await expect(wrong).rejects.toThrow(CheckError);
    await expect(wrong).rejects.toThrow(/lies in slot .* and the host says/);
    const off = { ...layer, outputs: async () => (await layer.outputs()).map((v) => 1.01 * v) };
    await expect(checkLayer(gpu, off)).rejects.toThrow(/off by .* of the largest/);
  } finally {
    layer.destroy();
  }
});

test('the controller on the device counts and adds as the one on the host', async () => {
  const layer = await openLayer(gpu, { ...SIZES, score: 'sigmoid' }, { balancer: {} });
  try {
    const options = { steps: 30, tokensPerStep: 50, rate: 0.03 };
    const next = logitsOf(ZIPF, { numExperts: 6, topK: 2, seed: 4 });
    const found = await trainBiasOnDevice(gpu, layer, next, options);
    const wanted = trainBias(ZIPF, { numExperts: 6, topK: 2, seed: 4 }, options);
    expect(found.maxOverMean).toEqual(wanted.maxOverMean);
    found.bias_E.forEach((bias, e) => expect(bias).toBeCloseTo(at(wanted.bias_E, e), 6));
    expect(at(found.maxOverMean, 29)).toBeLessThan(at(found.maxOverMean, 0));
  } finally {
    layer.destroy();
  }
});

test('recorded choices become logits that choose them', () => {
  const [row] = logitsOfScores([0.5, 0, 0.25], 3);
  expect([...(row ?? [])].map((logit) => Math.exp(logit))).toEqual([0.5, expect.closeTo(0, 20), 0.25]);
});

test('what a layer cannot be is told; a kernel of no part is ours', async () => {
  const open = (own: Partial<LayerSizes>) => openLayer(gpu, { ...SIZES, ...own }, {});
  await expect(open({ modelDim: 8 })).rejects.toThrow(/no room for the logits of 6 experts/);
  await expect(open({ numTokens: 0 })).rejects.toThrow(ConfigError);
  expect(partOf('collectives/exchange-rows.wgsl', true)).toBe('return');
  expect(() => partOf('attention/plain.wgsl', false)).toThrow(/no part of a layer/);
});
