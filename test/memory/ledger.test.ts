/** What the lists say without a device is what an engine allocates, purpose by purpose. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { CPU_TRAITS, type DeviceTraits, GPU_TRAITS } from '../../src/memory/device-traits.ts';
import { planEngine, type EngineSizing } from '../../src/memory/engine-plan.ts';
import { bytesByPurpose, deviceMemory, fullestRank, totalBytes } from '../../src/memory/lists.ts';
import { CACHE_DTYPES } from '../../src/memory/rank-sizes.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import type { KernelKind, Platform } from '../../src/platform/platform.ts';
import { createEngine } from '../../src/runtime/engine.ts';
import { WEIGHT_DTYPES } from '../../src/tensor/quantised.ts';
import { modelWith } from '../layout/support.ts';
import { bindingAtMost } from '../setup/binding.ts';
import { isFull } from '../setup/full.ts';
import { testPlatform } from '../setup/gpu.ts';

const RUNS = Number(process.env['MOEBIUS_RUNS'] ?? 20);

const gpus = new Map<KernelKind, Gpu>();
beforeAll(async () => {
  for (const kind of ['software', 'gpu'] as const) {
    const platform: Platform = Object.create(testPlatform(), { kernelKind: { value: kind } }) as Platform;
    gpus.set(kind, await openGpu(platform));
  }
});
afterAll(() => {
  for (const gpu of gpus.values()) {
    expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
    gpu.destroy();
  }
});

const model = modelWith({
  ...{ numLayers: 3, vocabSize: 37, modelDim: 64, numHeads: 8, numKvHeads: 4, headDim: 16 },
  ...{ numExperts: 8, topK: 2, expertDim: 64 },
});
const weights = syntheticWeights(model, 5);

async function expectPredicted(kind: KernelKind, text: string, sizing: EngineSizing): Promise<void> {
  const gpu = gpus.get(kind);
  if (gpu === undefined) return expect.unreachable();
  const known = kind === 'gpu' ? GPU_TRAITS : CPU_TRAITS;
  const traits: DeviceTraits = { ...known, bindableBytes: gpu.mostBytes('whole') };
  const layout = planLayout(parseLayout(text), model);
  const plan = planEngine(layout, sizing, traits);
  const items = deviceMemory(plan, traits);
  const engine = await createEngine(gpu, { ...sizing, layout, weights });
  const { predictedBytes, liveBytes, byPurpose, fullestRankBytes } = engine.memory;
  engine.destroy();
  expect(byPurpose).toEqual(bytesByPurpose(items));
  expect([predictedBytes, liveBytes]).toEqual([totalBytes(items), totalBytes(items)]);
  expect(fullestRankBytes).toBe(fullestRank(plan, traits).bytes);
}

test.each([
  ['software', 'ep=4,pp=2,tp=2,dp=2', { weightDtype: 'int4', mostOwners: 2 }],
  ['software', 'ep=8,pp=3,tp=4', { weightDtype: 'mxfp4', cacheDtype: 'f16', mostOwners: 1 }],
  // A cache long enough for keys in parts.
  ['gpu', 'ep=2,pp=1,tp=1', { weightDtype: 'int8', maxLength: 600, maxStepTokens: 9 }],
  ['gpu', 'ep=1,pp=2,tp=1,dp=2', { weightDtype: 'f16', microBatches: 2, maxLength: 700, maxStepTokens: 3 }],
] as const)('kernels of a %s on %s with %j', async (kind, text, sizing) => {
  await expectPredicted(kind, text, { maxSequences: 3, maxLength: 40, ...sizing });
});

test.each([
  // 128 bytes of f16 a row of the embedding; 4,002 or 4,001 columns of 40 bytes for each TP member, 12 rows of logits.
  ['ep=4,pp=2,tp=2,dp=2', { weightDtype: 'int4', mostOwners: 2 }, 8, 2],
  // 256 bytes a row; 48 rows of logits take less.
  ...(isFull ? [['ep=1', {}, 16, 16] as const] : []),
] as const)('%s binds a vocabulary in pieces, with the same bits', async (text, sizing, rows, columns) => {
  const gpu = gpus.get('software');
  if (gpu === undefined) return expect.unreachable();
  const layout = planLayout(parseLayout(text), { ...model, vocabSize: 8003 });
  const source = syntheticWeights(layout.model, 5);
  const run = async () => {
    const limits = { maxSequences: 4, maxLength: 12, ...sizing };
    const engine = await createEngine(gpu, { layout, weights: source, ...limits });
    try {
      const prompts = [[0, 500, 501, 1000, 1001, 1002, 8002], [751, 3, 7999], [250], [4001, 4002]];
      const asked = prompts.map((ids, sequence) => ({ sequence, ids }));
      const first = await engine.forward(asked, { logits: 'all' });
      const second = await engine.forward([{ sequence: 0, ids: [1501] }]);
      const logits = [...first.logits, ...second.logits];
      return { logits, dispatches: second.dispatches, memory: engine.memory };
    } finally {
      engine.destroy();
    }
  };
  const whole = await run();
  const cut = await bindingAtMost(gpu, 2 ** 17, run);
  expect(cut.logits).toEqual(whole.logits);
  expect(cut.memory.liveBytes).toBe(cut.memory.predictedBytes);
  // A gather and a product more for each piece, on the ranks of one TP group.
  expect(cut.dispatches - whole.dispatches).toBe(layout.spec.tp * (rows - 1 + columns - 1));
});

test('engines that are made at once have each its own account', async () => {
  const gpu = gpus.get('software');
  if (gpu === undefined) return expect.unreachable();
  const layout = planLayout(parseLayout('ep=4,pp=2,tp=2,dp=2'), model);
  const sizing = { maxSequences: 3, maxLength: 40, weightDtype: 'int4', mostOwners: 2 } as const;
  const make = () => createEngine(gpu, { ...sizing, layout, weights });
  const engines = await Promise.all([make(), make()]);
  for (const engine of engines) {
    expect(engine.memory.liveBytes).toBe(engine.memory.predictedBytes);
    engine.destroy();
  }
  expect(gpu.ledger.bytes).toBe(0);
});

test('random layouts and limits', { timeout: 600_000 }, async () => {
  const tp = fc.constantFrom(1, 2, 4);
  const layouts = fc.record({
    ep: fc.constantFrom(1, 2, 4, 8),
    pp: fc.integer({ min: 1, max: 3 }),
    tp,
    dp: tp,
  });
  const sizings = fc.record({
    maxSequences: fc.integer({ min: 1, max: 9 }),
    maxLength: fc.integer({ min: 1, max: 40 }),
    maxStepTokens: fc.integer({ min: 1, max: 40 }),
    weightDtype: fc.constantFrom(...WEIGHT_DTYPES),
    cacheDtype: fc.constantFrom(...CACHE_DTYPES),
    mostOwners: fc.constantFrom(1, 2, Infinity),
  });
  await fc.assert(
    fc.asyncProperty(layouts, sizings, async ({ ep, pp, dp, ...axes }, sizing) => {
      const text = `ep=${ep},pp=${pp},tp=${Math.min(axes.tp, ep)},dp=${dp}`;
      await expectPredicted('software', text, sizing);
    }),
    { numRuns: RUNS },
  );
});
