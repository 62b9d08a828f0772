import fc from 'fast-check';
import type { LayoutSpec } from '../../src/layout/spec.ts';
import type { MoeConfig } from '../../src/model/config.ts';

/** The shape that the reference deployment is explained with, and variations of it. */
export function modelWith(changes: Partial<MoeConfig> = {}): MoeConfig {
  return {
    name: 'test-model',
    vocabSize: 32_000,
    modelDim: 1024,
    numLayers: 16,
    numHeads: 16,
    numKvHeads: 16,
    headDim: 64,
    numExperts: 16,
    topK: 2,
    expertDim: 2048,
    activation: 'silu',
    renormalize: true,
    ropeTheta: 10_000,
    rmsEps: 1e-5,
    maxPositions: 4096,
    ...changes,
  };
}

export interface Plannable {
  readonly spec: LayoutSpec;
  readonly config: MoeConfig;
}

/** Random layouts with a model that they fit, uneven layers and both kinds of KV sharing included. */
export const plannable: fc.Arbitrary<Plannable> = fc
  .record({
    tp: fc.constantFrom(1, 2, 3, 4),
    tpGroups: fc.integer({ min: 1, max: 4 }),
    pp: fc.integer({ min: 1, max: 5 }),
    dp: fc.integer({ min: 1, max: 3 }),
    expertsPerRank: fc.integer({ min: 1, max: 3 }),
    extraLayers: fc.integer({ min: 0, max: 7 }),
    kvFactor: fc.constantFrom(1, 2, 3, 4),
    kvIsReplicated: fc.boolean(),
    headFactor: fc.integer({ min: 1, max: 4 }),
  })
  .map((draw) => {
    const { tp, pp, dp, tpGroups, kvFactor } = draw;
    const ep = tp * tpGroups;
    const isReplicated = draw.kvIsReplicated && tp % kvFactor === 0;
    const numKvHeads = isReplicated ? tp / kvFactor : tp * kvFactor;
    const config = modelWith({
      numLayers: pp + draw.extraLayers,
      numExperts: ep * draw.expertsPerRank,
      numKvHeads,
      numHeads: (isReplicated ? tp : numKvHeads) * draw.headFactor,
    });
    return { spec: { ep, pp, tp, dp }, config };
  });
