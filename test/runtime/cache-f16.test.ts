/** A KV cache in f16: half the bytes, logits near those of f32, and the same on every layout. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { logitsError } from '../../src/bench/model/check.ts';
import { at } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import type { MoeConfig } from '../../src/model/config.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { createEngine, type EngineOptions, type MemoryReport } from '../../src/runtime/engine.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
let model: Checkpoint;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  model = await loadTinyMoe();
});
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const PROMPT = [30, 27, 25, 17, 27, 10, 0, 1, 41, 50, 43];
const LAYOUTS = ['ep=1,pp=1,tp=1,dp=1', 'ep=8,pp=2,tp=2,dp=2'];

/** The prompt in one step but for its last token, which is a step of its own; then one more prompt behind it. */
async function lastLogits(text: string, options: Partial<EngineOptions>) {
  const layout = planLayout(parseLayout(text), model.config);
  const limits = { maxSequences: 4, maxLength: 64 };
  const engine = await createEngine(gpu, { layout, weights: model, ...limits, ...options });
  try {
    await engine.forward([{ sequence: 1, ids: PROMPT.slice(0, -1) }]);
    const { logits } = await engine.forward([{ sequence: 1, ids: PROMPT.slice(-1) }]);
    return { logits: at(logits, 0), memory: engine.memory };
  } finally {
    engine.destroy();
  }
}

const kvBytes = ({ byPurpose }: MemoryReport): number => byPurpose['kv-cache'] ?? 0;

test('logits and bytes on two layouts', async () => {
  const { logits_TV } = referenceModel(model).forward(PROMPT);
  const want = logits_TV.slice(-model.config.vocabSize);
  const seen: Float32Array[] = [];
  for (const text of LAYOUTS) {
    const f32 = await lastLogits(text, {});
    const f16 = await lastLogits(text, { cacheDtype: 'f16' });
    expect(f16.memory.predictedBytes).toBe(f16.memory.liveBytes);
    expect(kvBytes(f16.memory)).toBe(kvBytes(f32.memory) / 2);
    const error = logitsError(f16.logits, want);
    expect(error).toBeLessThan(2e-3);
    // Rounded to halves they are not those of f32.
    expect(error).toBeGreaterThan(logitsError(f32.logits, want));
    seen.push(Float32Array.from(f16.logits));
  }
  expect(logitsError(at(seen, 1), Float64Array.from(at(seen, 0)))).toBeLessThan(2e-3);
});

test('refuses heads that do not pack, and other dtypes', async () => {
  const odd: MoeConfig = {
    ...{ name: 'odd', vocabSize: 37, modelDim: 24, numLayers: 1, numHeads: 4, numKvHeads: 4, headDim: 6 },
    ...{ numExperts: 4, topK: 2, expertDim: 32, activation: 'silu', renormalize: true },
    ...{ ropeTheta: 10000, rmsEps: 1e-5, maxPositions: 64 },
  };
  const make = (options: Partial<EngineOptions>) =>
    createEngine(gpu, {
      ...{ layout: planLayout(parseLayout('ep=1'), odd), weights: syntheticWeights(odd, 1) },
      ...{ maxSequences: 1, maxLength: 8 },
      ...options,
    });
  await expect(make({ cacheDtype: 'f16' })).rejects.toThrow('headDim 6 is not a multiple of 4');
  await expect(make({ cacheDtype: 'int8' as 'f16' })).rejects.toThrow(
    'cacheDtype (int8) must be one of f32, f16',
  );
});
