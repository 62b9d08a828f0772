/**
 * A checkpoint of each family on ranks of a layout, in Node and in Chromium: ids of prompts, logits, greedy ids and choices of
 * experts are those of transformers.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigError } from '../../../src/core/errors.ts';
import { at } from '../../../src/core/math.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { planLayout } from '../../../src/layout/layout.ts';
import { parseLayout } from '../../../src/layout/spec.ts';
import { openCheckpoint } from '../../../src/model/checkpoint.ts';
import { dtypesOf, storedDtypes } from '../../../src/model/stored-weights.ts';
import { createEngine } from '../../../src/runtime/engine.ts';
import { generate } from '../../../src/runtime/generate.ts';
import { isFull, isThorough } from '../../setup/full.ts';
import { testPlatform } from '../../setup/platform.ts';
import { errorOf, FAMILIES, type FamilyName, folderOf, referenceOf } from './checkpoints.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const inPage = 'document' in globalThis;

/**
 * SwiftShader compiles for seconds: a page takes one, in a thorough run two that have all kinds of routers, experts and caches
 * between them, and all with MOEBIUS_RUNS.
 */
const NAMES: readonly FamilyName[] =
  !inPage || isFull ? FAMILIES : isThorough ? ['glm4-moe', 'gpt-oss-mxfp4'] : ['gpt-oss-mxfp4'];

/** One that has every collective; with MOEBIUS_RUNS others too. */
const LAYOUTS = isFull ? ['ep=1', 'ep=2', 'ep=2,tp=2', 'ep=1,pp=2', 'ep=2,pp=2,tp=2'] : ['ep=2,pp=2,tp=2'];

/** In f32, and with MOEBIUS_RUNS as the files have it. */
const WEIGHTS = isFull ? (['f32', 'stored'] as const) : (['f32'] as const);

test.each(
  NAMES.flatMap((name) => LAYOUTS.flatMap((layout) => WEIGHTS.map((weights) => ({ name, layout, weights })))),
)('$name on $layout, weights in $weights', async ({ name, layout: text, weights }) => {
  const platform = testPlatform();
  const model = await openCheckpoint(folderOf(name), platform);
  const layout = planLayout(parseLayout(text), model.config);
  const limits = { maxSequences: 1, maxLength: 96, maxStepTokens: 72 };
  const dtypes = weights === 'f32' ? dtypesOf(weights) : storedDtypes(model);
  const engine = await createEngine(gpu, { layout, weights: model, ...limits, dtypes });
  try {
    expect(engine.memory.predictedBytes).toBe(engine.memory.liveBytes);
    const { cases, routers } = await referenceOf(name);
    for (const [i, { text: prompt, ids, greedy, logits }] of cases.entries()) {
      expect(model.tokenizer?.encode(prompt)).toEqual(ids);
      if (i === 0) continue;
      const tokens = i === 1 ? greedy.length : 1;
      const made = await generate(engine, { promptIds: ids, tokens });
      expect(errorOf(made.lastLogits, logits)).toBeLessThan(2e-5);
      expect(made.ids).toEqual(greedy.slice(0, tokens));
    }
    engine.reset();
    const step = await engine.forward([{ sequence: 0, ids: at(cases, 1).ids }], { experts: true });
    const { topK } = model.config;
    for (const { layer, experts } of routers) {
      const chosen = at(step.experts?.[0] ?? [], layer);
      experts.forEach((row, t) => {
        expect([...chosen.subarray(t * topK, (t + 1) * topK)].sort()).toEqual([...row].sort());
      });
    }
  } finally {
    engine.destroy();
    await model.close();
  }
});

test.runIf(!inPage || isFull)(
  'nothing of a model whose file ends while it is read stays on the device',
  async () => {
    const model = await openCheckpoint(folderOf('qwen3-moe'), testPlatform());
    let loads = 0;
    const weights = {
      ...model,
      load: (names: readonly string[]) =>
        ++loads > 40 ? Promise.reject(new ConfigError('The file has become shorter.')) : model.load(names),
    };
    const layout = planLayout(parseLayout('ep=2,tp=2'), model.config);
    const making = createEngine(gpu, { layout, weights, maxSequences: 1, maxLength: 8 });
    await expect(making).rejects.toThrow(/become shorter/);
    expect(gpu.ledger.bytes).toBe(0);
    await model.close();
  },
);
