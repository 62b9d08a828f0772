/** Logits of ranks whose rows are one product: each sequence has its own. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { logitsError } from '../../../src/bench/model/check.ts';
import { at } from '../../../src/core/math.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { planLayout } from '../../../src/layout/layout.ts';
import { parseLayout } from '../../../src/layout/spec.ts';
import type { Checkpoint } from '../../../src/model/checkpoint.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import { createEngine } from '../../../src/runtime/engine.ts';
import { loadTinyMoe } from '../../model/tiny-moe.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
let model: Checkpoint;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  model = await loadTinyMoe();
});
afterAll(() => gpu.destroy());

const PROMPTS = [
  [1, 2, 3, 4, 5],
  [30, 27, 25],
  [7, 7, 9, 11],
  [41, 50, 43, 10, 0],
];

test.each(['ep=4,pp=1,tp=1,dp=1', 'ep=4,pp=1,tp=2,dp=1', 'ep=2,pp=2,tp=1,dp=2'])('on %s', async (text) => {
  const layout = planLayout(parseLayout(text), model.config);
  const engine = await createEngine(gpu, { layout, weights: model, maxSequences: 4, maxLength: 8 });
  try {
    const { logits } = await engine.forward(PROMPTS.map((ids, sequence) => ({ sequence, ids })));
    const reference = referenceModel(model);
    for (const [i, ids] of PROMPTS.entries()) {
      const own = reference.forward(ids).logits_TV.subarray(-model.config.vocabSize);
      expect(logitsError(at(logits, i), own)).toBeLessThan(1e-4);
    }
  } finally {
    engine.destroy();
  }
});
