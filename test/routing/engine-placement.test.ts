/** Experts that lie anywhere, with replicas: the choices of an engine are those of one rank, bit for bit, and its logits near them. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at, range } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { placementOf, type ExpertPlacement } from '../../src/routing/placement.ts';
import { createEngine, type EngineOptions, type StepResult } from '../../src/runtime/engine.ts';
import { testPlatform } from '../setup/gpu.ts';
import { model, weights } from './small-model.ts';

const RUNS = Number(process.env['MOEBIUS_RUNS'] ?? 5);

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const limits = { maxSequences: 3, maxLength: 12, maxStepTokens: 12 };

async function stepOf(
  options: Omit<EngineOptions, 'weights' | 'maxSequences' | 'maxLength'>,
): Promise<StepResult> {
  const engine = await createEngine(gpu, { ...limits, weights, ...options });
  try {
    expect(engine.memory.predictedBytes, 'predicted bytes are the live bytes').toBe(engine.memory.liveBytes);
    const requests = range(3).map((sequence) => ({
      sequence,
      ids: range(11 - sequence).map((i) => (7 * i + 5 * sequence) % 29),
    }));
    const prompts = await engine.forward(requests, { logits: 'all', experts: true });
    expect(prompts.hostSyncsInLayers).toBe(0);
    const next = await engine.forward([{ sequence: 1, ids: [3] }], { logits: 'all', experts: true });
    return {
      ...prompts,
      logits: [...prompts.logits, ...next.logits],
      experts: [...(prompts.experts ?? []), ...(next.experts ?? [])],
    };
  } finally {
    engine.destroy();
  }
}

/** Replicas anywhere, ranks with unequal numbers of slots or none. */
function drawn(seed: number, ranks: number, replicas: number): ExpertPlacement {
  const random = seededRandom(seed);
  const ofRank = range(ranks).map((): number[] => []);
  const held = [...range(model.numExperts), ...range(replicas).map(() => random.integer(model.numExperts))];
  for (const expert of held) at(ofRank, random.integer(ranks)).push(expert);
  return placementOf(ofRank, model.numExperts);
}

test('any placement on any EP degree', { timeout: 600_000 }, async () => {
  const alone = await stepOf({ layout: planLayout({ ep: 1, pp: 1, tp: 1, dp: 1 }, model) });
  const cases = fc.record({
    seed: fc.nat(1e9),
    ep: fc.constantFrom(1, 2, 4, 8),
    tp: fc.constantFrom(1, 2),
    pp: fc.constantFrom(1, 2),
    dp: fc.constantFrom(1, 2),
    replicas: fc.integer({ min: 0, max: 7 }),
    weightDtype: fc.constantFrom('f32' as const),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ seed, replicas, weightDtype, ...given }) => {
      const spec = { ...given, tp: Math.min(given.tp, given.ep) };
      const layout = planLayout(spec, model, drawn(seed, spec.ep, replicas));
      const got = await stepOf({ layout, weightDtype });
      expect(got.experts).toEqual(alone.experts);
      got.logits.forEach((own, request) => {
        const want = at(alone.logits, request);
        own.forEach((value, i) => expect(Math.abs(value - at(want, i))).toBeLessThanOrEqual(1e-4));
      });
    }),
    { numRuns: RUNS },
  );
});
