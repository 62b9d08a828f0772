/** What the engine's sizes keep to: grids of tiles, rows that can arrive, and the model's own eps. */
import { expect, test } from 'vitest';
import { logitsError } from '../../src/bench/model/check.ts';
import { at } from '../../src/core/math.ts';
import { openGpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { MoeConfig } from '../../src/model/config.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { createEngine } from '../../src/runtime/engine.ts';
import { rankSizes } from '../../src/memory/rank-sizes.ts';
import { testPlatform } from '../setup/gpu.ts';

const layout = planLayout(parseLayout('ep=4,pp=2,tp=2,dp=1'), presetNamed('tiny-moe').config);
const bindableBytes = 2 ** 40;
const sizesOf = (maxTokens: number) =>
  rankSizes(layout, { maxSequences: 6, maxLength: 32, maxTokens }, { bindableBytes });

test('a stack has no more ranks than its tiles, one a row at worst, fit into a grid', () => {
  // 4 ranks of half of the tokens each, two experts a token: 65,535 tiles are 16,383 tokens of a group.
  expect(sizesOf(16_382).owners).toBe(4);
  expect(sizesOf(16_400).owners).toBe(1);
});

test('room for the tokens of a share and for all rows that can come', () => {
  const z = sizesOf(7);
  expect(z.shareTokens).toBe(4);
  // 4 ranks of 4 tokens, for two of the 4 local experts each.
  expect(z).toMatchObject({ sendRows: 8, receiveRows: 32, cacheSlots: 3 });
});

test("the norms take the model's own eps, those of layers and the last", async () => {
  const shape: MoeConfig = {
    ...{ name: 'eps', vocabSize: 17, modelDim: 16, numLayers: 1, numHeads: 2, numKvHeads: 2, headDim: 8 },
    ...{ numExperts: 2, topK: 1, expertDim: 8, activation: 'silu', renormalize: true },
    ...{ ropeTheta: 10000, rmsEps: 0.5, maxPositions: 16 },
  };
  const weights = syntheticWeights(shape, 3);
  const gpu = await openGpu(testPlatform());
  const engine = await createEngine(gpu, {
    ...{ layout: planLayout(parseLayout('ep=1'), shape), weights, maxSequences: 1, maxLength: 8 },
  });
  const ids = [1, 5, 9, 2];
  const { logits } = await engine.forward([{ sequence: 0, ids }], { logits: 'all' });
  const want = referenceModel(weights).forward(ids).logits_TV;
  expect(logitsError(at(logits, 0), want)).toBeLessThan(1e-4);
  engine.destroy();
  gpu.destroy();
});
