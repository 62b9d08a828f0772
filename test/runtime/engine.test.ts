/** The engine beyond its answers: the same bits twice, any way to feed a prompt, clear refusals, sabotage. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { oneDeviceTransport } from '../../src/collectives/one-device.ts';
import type { Transport } from '../../src/collectives/transport.ts';
import { at } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout, type Layout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { weightNames, type MoeConfig, type WeightSource } from '../../src/model/config.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { createEngine, type Engine, type EngineOptions } from '../../src/runtime/engine.ts';
import { logitsError } from '../../src/bench/model/check.ts';
import { testPlatform } from '../setup/gpu.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';

let gpu: Gpu;
let model: Checkpoint;
const engines: Engine[] = [];

async function engineOn(text: string, options: Partial<EngineOptions> = {}): Promise<Engine> {
  const layout = options.layout ?? planLayout(parseLayout(text), model.config);
  const engine = await createEngine(gpu, {
    layout,
    weights: model,
    maxSequences: 8,
    maxLength: 64,
    ...options,
  });
  engines.push(engine);
  return engine;
}

beforeAll(async () => {
  const platform = testPlatform();
  gpu = await openGpu(platform);
  model = await loadTinyMoe();
});
afterAll(() => {
  for (const engine of engines) engine.destroy();
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
});

const PROMPT = [30, 27, 25, 17, 27, 10, 0];

describe('one engine', () => {
  test('gives the same bits twice, and on a fresh engine of the same layout', async () => {
    const engine = await engineOn('ep=8,pp=2,tp=2,dp=2');
    const requests = [0, 3, 5].map((sequence) => ({ sequence, ids: PROMPT.slice(0, 3 + sequence / 2) }));
    const first = await engine.forward(requests);
    engine.reset();
    const again = await engine.forward(requests);
    const fresh = await (await engineOn('ep=8,pp=2,tp=2,dp=2')).forward(requests);
    expect(again.logits).toEqual(first.logits);
    expect(fresh.logits).toEqual(first.logits);
  });

  test.each([
    ['ep=8,pp=2,tp=2,dp=2', [1, 2, 8]],
    ['ep=4,pp=1,tp=1,dp=1', [1, 2, 4]],
  ])(
    'on %s, ranks that share a dispatch of their experts give the bits of ranks that do not',
    async (text, most) => {
      const requests = [0, 1, 2].map((sequence) => ({ sequence, ids: PROMPT.slice(sequence) }));
      const results = [];
      for (const mostOwners of most) {
        const engine = await engineOn(text, { mostOwners });
        expect(engine.memory.predictedBytes).toBe(engine.memory.liveBytes);
        results.push(await engine.forward(requests, { logits: 'all' }));
      }
      for (const { logits } of results) expect(logits).toEqual(at(results, 0).logits);
      const dispatches = results.map((result) => result.dispatches);
      expect(dispatches).toEqual([...new Set(dispatches)].sort((a, b) => b - a));
    },
  );

  test('a prompt in one step, in pieces and beside other sequences gives the same logits', async () => {
    const engine = await engineOn('ep=4,pp=3,tp=2,dp=1', { microBatches: 2 });
    const want = (await engine.forward([{ sequence: 0, ids: PROMPT }])).logits[0] ?? [];
    engine.reset();
    await engine.forward([{ sequence: 2, ids: PROMPT.slice(0, 4) }]);
    await engine.forward([
      { sequence: 2, ids: PROMPT.slice(4, 6) },
      { sequence: 0, ids: [1, 2, 3] },
    ]);
    const pieces = await engine.forward([
      { sequence: 1, ids: [5] },
      { sequence: 2, ids: PROMPT.slice(6) },
    ]);
    expect(logitsError(at(pieces.logits, 1), want)).toBeLessThan(1e-5);
    expect(engine.lengthOf(2)).toBe(PROMPT.length);
  });

  test('f16 weights of an f16 checkpoint give the same logits: they widen exactly', async () => {
    const f32 = await (await engineOn('ep=2,pp=1,tp=1,dp=1')).forward([{ sequence: 0, ids: PROMPT }]);
    const f16 = await (
      await engineOn('ep=2,pp=1,tp=1,dp=1', { weightDtype: 'f16' })
    ).forward([{ sequence: 0, ids: PROMPT }]);
    expect(logitsError(at(f16.logits, 0), at(f32.logits, 0))).toBeLessThan(1e-5);
  });

  test.each([
    [[], /at least one request/],
    [[{ sequence: 8, ids: [1] }], /outside of 0\.\.7/],
    [[{ sequence: 0, ids: [] }], /no tokens/],
    [[{ sequence: 0, ids: [65] }], /outside of the vocabulary 0\.\.64/],
    [[{ sequence: 0, ids: Array<number>(65).fill(1) }], /65 positions; maxLength is 64/],
    [
      [
        { sequence: 1, ids: [1] },
        { sequence: 1, ids: [2] },
      ],
      /named twice/,
    ],
  ])('refuses %j', async (requests, message) => {
    const engine = await engineOn('ep=1,pp=1,tp=1,dp=1');
    await expect(engine.forward(requests)).rejects.toThrow(message);
  });

  test.each([
    [1, 6],
    [40, 10],
  ])('a step of %i tokens on one rank takes at most %i dispatches per MoE layer', async (tokens, most) => {
    const engine = await engineOn('ep=1,pp=1,tp=1,dp=1');
    const ids = Array.from({ length: tokens }, (_, i) => i % 65);
    const { spans } = await engine.forward([{ sequence: 0, ids }], { timing: 'dispatch' });
    const ofLayers = spans.filter(({ tag }) =>
      ['route', 'experts', 'combine'].includes(tag.operation),
    ).length;
    expect(ofLayers / model.config.numLayers).toBeLessThanOrEqual(most);
  });

  test('ranks without tokens record nothing', async () => {
    const [one, two] = [await engineOn('ep=4,pp=2,tp=2,dp=1'), await engineOn('ep=4,pp=2,tp=2,dp=2')];
    for (const ids of [PROMPT, [3]]) {
      const [a, b] = [await one.forward([{ sequence: 0, ids }]), await two.forward([{ sequence: 0, ids }])];
      expect(b.dispatches).toBe(a.dispatches);
      expect(b.logits).toEqual(a.logits);
    }
  });

  test('refuses more positions than the model was made for', async () => {
    await expect(engineOn('ep=1,pp=1,tp=1,dp=1', { maxLength: 257 })).rejects.toThrow(
      /exceeds the 256 positions/,
    );
  });
});

describe('odd shapes', () => {
  const shape: MoeConfig = {
    ...{ name: 'odd', vocabSize: 37, modelDim: 30, numLayers: 3, numHeads: 6, numKvHeads: 3, headDim: 10 },
    ...{ numExperts: 6, topK: 3, expertDim: 13, activation: 'silu', renormalize: true },
    ...{ ropeTheta: 10000, rmsEps: 1e-5, maxPositions: 64 },
  };

  test.each([
    ['ep=1,pp=1,tp=1,dp=1', shape],
    ['ep=6,pp=3,tp=3,dp=1', shape],
    // Two workgroups of columns and more on the way out of an expert, one on the way in.
    ['ep=1,pp=1,tp=1,dp=1', { ...shape, name: 'rows much wider than experts', modelDim: 300 }],
    ['ep=2,pp=1,tp=1,dp=1', { ...shape, name: 'rows much wider than experts', modelDim: 300 }],
    ['ep=3,pp=2,tp=3,dp=2', { ...shape, name: 'all experts', topK: 6 }],
    ['ep=6,pp=1,tp=6,dp=1', { ...shape, name: 'more TP ranks than KV heads', numKvHeads: 2 }],
    ['ep=1,pp=2,tp=1,dp=2', { ...shape, name: 'one expert', numExperts: 1, topK: 1, renormalize: false }],
  ] as const)('%s, synthetic weights, against float64', async (text, config: MoeConfig) => {
    const weights = syntheticWeights(config, 7);
    const engine = await engineOn(text, { layout: planLayout(parseLayout(text), config), weights });
    const ids = [1, 5, 9, 36, 0, 2, 7, 11, 13];
    const { logits } = await engine.forward([{ sequence: 3, ids }], { logits: 'all' });
    const want = referenceModel(weights).forward(ids).logits_TV;
    expect(logitsError(at(logits, 0), want)).toBeLessThan(1e-4);
  });
});

describe('sabotage is caught by the logits check', () => {
  /** Two sequences for every TP group. */
  const requests = Array.from({ length: 8 }, (_, sequence) => ({ sequence, ids: PROMPT }));
  const layoutText = 'ep=4,pp=2,tp=2,dp=2';

  async function errorWith(options: Partial<EngineOptions>): Promise<number> {
    const truth = referenceModel(model).forward(PROMPT).logits_TV.subarray(-model.config.vocabSize);
    const { logits } = await (await engineOn(layoutText, options)).forward(requests);
    return Math.max(...logits.map((row) => logitsError(row, truth)));
  }

  test.each([1, 4])('none: it passes with %i ranks to a stack', async (mostOwners) => {
    expect(await errorWith({ mostOwners })).toBeLessThan(2e-3);
  });

  test('two swapped ranks in an expert-parallel group', async () => {
    const honest = planLayout(parseLayout(layoutText), model.config);
    const swapped: Layout = { ...honest, epGroup: (rank) => swap(honest.epGroup(rank)) };
    // Each rank with a stack of its own: neighbours that share one cannot be swapped.
    expect(await errorWith({ layout: swapped, mostOwners: 1 })).toBeGreaterThan(2e-3);
  });

  test('two ranks swapped between tensor-parallel groups', async () => {
    const honest = planLayout(parseLayout(layoutText), model.config);
    const other = (rank: number): number => (rank % 4 === 1 ? rank + 1 : rank % 4 === 2 ? rank - 1 : rank);
    const swapped: Layout = { ...honest, tpGroup: (rank) => honest.tpGroup(other(rank)).map(other) };
    expect(await errorWith({ layout: swapped })).toBeGreaterThan(2e-3);
  });

  test('a missing all-reduce', async () => {
    const honest = await oneDeviceTransport(gpu);
    const deaf: Transport = { ...honest, reduceScatterRows: () => nothing };
    expect(await errorWith({ transport: deaf })).toBeGreaterThan(2e-3);
  });

  test('rows that do not come back', async () => {
    const honest = await oneDeviceTransport(gpu);
    expect(await errorWith({ transport: { ...honest, returnRows: () => nothing } })).toBeGreaterThan(2e-3);
  });

  test('a hand-over between stages that is skipped', async () => {
    const honest = await oneDeviceTransport(gpu);
    expect(await errorWith({ transport: { ...honest, sendReceive: () => nothing } })).toBeGreaterThan(2e-3);
  });
});

/** A collective that is left out. */
const nothing = { record: () => undefined };

function swap([a, b, ...rest]: number[]): number[] {
  return [b ?? 0, a ?? 0, ...rest];
}

test.each(['gate', 'expert'] as const)('a NaN in the %s weights reaches the logits', async (which) => {
  const bad: WeightSource = {
    ...model,
    get: (name) => {
      const found = model.get(name);
      const poisoned =
        which === 'gate' ? name === weightNames.gate(2) : /layers\.1\..*experts\.\d+\.w2/.test(name);
      return poisoned ? { ...found, data: found.data.map(() => 0x7e00) } : found;
    },
  };
  const engine = await engineOn('ep=4,pp=2,tp=2,dp=1', { weights: bad });
  const { logits } = await engine.forward([{ sequence: 0, ids: PROMPT }]);
  expect(at(logits, 0).some(Number.isNaN)).toBe(true);
  expect(logitsError(at(logits, 0), at(logits, 0))).toBe(Infinity);
});
