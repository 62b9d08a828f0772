/** Projections and logits of ranks whose rows are one product: each sequence has its own. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { logitsError } from '../../../src/bench/model/check.ts';
import { at } from '../../../src/core/math.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { planLayout } from '../../../src/layout/layout.ts';
import { parseLayout } from '../../../src/layout/spec.ts';
import type { Checkpoint } from '../../../src/model/checkpoint.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import { createEngine, type StepOptions, type StepResult } from '../../../src/runtime/engine.ts';
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
const NEXT = [9, 3, 60, 17];

const LAYOUTS = ['ep=4,pp=1,tp=1,dp=1', 'ep=4,pp=1,tp=2,dp=1', 'ep=2,pp=2,tp=1,dp=2'];

/** Prompts, then a token of each. */
async function steps(layout: string, options: StepOptions): Promise<[StepResult, StepResult]> {
  const engine = await createEngine(gpu, {
    layout: planLayout(parseLayout(layout), model.config),
    ...{ weights: model, maxSequences: 4, maxLength: 16 },
  });
  try {
    const prompts = await engine.forward(
      PROMPTS.map((ids, sequence) => ({ sequence, ids })),
      options,
    );
    return [
      prompts,
      await engine.forward(
        NEXT.map((id, sequence) => ({ sequence, ids: [id] })),
        options,
      ),
    ];
  } finally {
    engine.destroy();
  }
}

function worstError(results: readonly StepResult[]): number {
  const reference = referenceModel(model);
  const errors = PROMPTS.flatMap((prompt, i) =>
    [prompt, [...prompt, at(NEXT, i)]].map((ids, step) => {
      const own = reference.forward(ids).logits_TV.subarray(-model.config.vocabSize);
      return logitsError(at(at(results, step).logits, i), own);
    }),
  );
  return Math.max(...errors);
}

test.each(LAYOUTS)('on %s each sequence has its own', async (layout) => {
  expect(worstError(await steps(layout, {}))).toBeLessThan(1e-4);
});

test.each(LAYOUTS)('on %s every rank has its own product where it is asked for', async (layout) => {
  const [, shared] = await steps(layout, {});
  const apart = await steps(layout, { apart: true });
  expect(worstError(apart)).toBeLessThan(1e-4);
  // The projections of 2 layers and the logits, of one product for two ranks at least.
  expect(at(apart, 1).dispatches).toBeGreaterThanOrEqual(shared.dispatches + 5);
});
