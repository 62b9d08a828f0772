/** The way through the experts for few tokens is measured like a kernel, and op and engine take the advice. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { createEngine } from '../../src/runtime/engine.ts';
import { tuningTable } from '../../src/tune/lookup.ts';
import { codesOf, tuneKernels } from '../../src/tune/tune.ts';
import { subjectCase, type Subject } from '../../src/validate/draw/subject.ts';
import { modelWith } from '../layout/support.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => {
  expect(gpu.ledger.bytes).toBe(0);
  gpu.destroy();
});

const layer: Subject = {
  ...{ op: 'moe', dims: { T: 2, D: 32, E: 4, F: 32 }, attrs: { k: 2 } },
  with: ['logits', 'w3'],
};

test('both ways are checked and timed, and the op takes what the point says', async () => {
  const families = ['moe-path'];
  const report = await tuneKernels(gpu, { subjects: [layer], families, budgetNs: 1e9, project: '0.0.0' });
  expect([report.wrong, report.unmeasured]).toEqual([[], []]);
  expect(report.points).toHaveLength(1);
  const point = at(report.points, 0);
  expect(point).toMatchObject({ family: 'moe-path', default: 'direct', sizes: { numTokens: 2 } });
  const seen = [...point.evidence, ...point.left].map(({ variant }) => variant);
  expect(seen.sort()).toEqual(['direct', 'planned']);

  // Both ways with a time, whatever a busy machine left of what was measured.
  const codeOf = codesOf(gpu.platform);
  const evidence = [
    { ...at(point.evidence, 0), variant: 'direct', code: codeOf('experts/down-combine.wgsl') },
    { ...at(point.evidence, 0), variant: 'planned', code: codeOf('routing/plan-local.wgsl') },
  ];
  const preparedWith = async (choice: string | null): Promise<string> => {
    gpu.tuning = tuningTable([{ ...point, evidence, choice }], codeOf);
    const prepared = await subjectCase(layer).prepare(gpu);
    gpu.tuning = undefined;
    prepared.destroy();
    return prepared.variant;
  };
  expect(await preparedWith(null)).toBe('direct');
  expect(await preparedWith('planned')).not.toBe('direct');
});

test('an engine asks for each number of tokens, and takes another way with more dispatches and the same answers', async () => {
  const model = modelWith({
    ...{ numLayers: 1, vocabSize: 20, modelDim: 32, numHeads: 2, numKvHeads: 2, headDim: 16 },
    ...{ numExperts: 8, topK: 4, expertDim: 32 },
  });
  const options = { layout: planLayout(parseLayout('ep=1'), model), weights: syntheticWeights(model, 3) };
  const asked: unknown[] = [];
  const step = async (planned: readonly number[]) => {
    gpu.tuning = {
      choose: ({ family, shape }) => {
        const { numTokens } = shape as { numTokens: number };
        if (family !== 'moe-path') return undefined;
        asked.push(numTokens);
        return planned.includes(numTokens) ? 'planned' : 'direct';
      },
    };
    const engine = await createEngine(gpu, { ...options, maxSequences: 1, maxLength: 12 });
    gpu.tuning = undefined;
    const results = [await engine.forward([{ sequence: 0, ids: [1, 2] }])];
    results.push(await engine.forward([{ sequence: 0, ids: [3] }]));
    engine.destroy();
    return results.map(({ logits, dispatches }) => ({ logits: [...at(logits, 0)], dispatches }));
  };
  const direct = await step([]);
  // Up to 16 choices: 4 tokens.
  expect(asked).toEqual([1, 2, 3, 4]);
  const mixed = await step([2]);
  expect(at(mixed, 0).dispatches).toBeGreaterThan(at(direct, 0).dispatches);
  expect(at(mixed, 1).dispatches).toBe(at(direct, 1).dispatches);
  for (const [i, { logits }] of mixed.entries()) {
    const want = at(direct, i).logits;
    expect(logits.every((value, v) => Math.abs(value - at(want, v)) <= 1e-4)).toBe(true);
  }
});
