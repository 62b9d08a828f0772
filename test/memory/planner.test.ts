/** The planner's ledger beside the engine's lists: of a model that runs here both say what a rank of a cluster holds. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maxOf, range, sum } from '../../src/core/math.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { GPU_TRAITS } from '../../src/memory/device-traits.ts';
import { planEngine } from '../../src/memory/engine-plan.ts';
import { rankMemory, type MemoryItem } from '../../src/memory/lists.ts';
import type { ModelFacts } from '../../src/planner/models/facts.ts';
import { FRAMEWORK } from '../../src/planner/serving/framework.ts';
import { rankLedger } from '../../src/planner/serving/ledger.ts';
import { plannable, type Plannable } from '../layout/support.ts';

const SIZING = {
  maxSequences: 16,
  maxLength: 32,
  maxStepTokens: 16,
  weightDtype: 'f16',
  cacheDtype: 'f16',
} as const;

function factsOf({ config }: Plannable): ModelFacts {
  const { name, vocabSize, modelDim, numLayers, numHeads, numKvHeads, headDim, numExperts, topK, expertDim } =
    config;
  return {
    ...{ name, vocabSize, modelDim, layers: numLayers, experts: numExperts, topK, expertDim },
    attention: { kind: 'heads', heads: numHeads, kvHeads: numKvHeads, headDim },
    ...{ denseLayers: 0, denseDim: 0, sharedDim: 0, mtpLayers: 0, tied: false, maxPositions: 4096 },
    ...{ precision: 'bf16', source: 'test' },
  };
}

const bytesOf = (items: readonly MemoryItem[], name: RegExp): number =>
  sum(items.filter((item) => name.test(item.name)).map(({ bytes, count }) => bytes * count));

test('the fullest rank of random layouts: matrices of its layers and its cache, to the byte', () => {
  fc.assert(
    fc.property(plannable, (drawn) => {
      const { spec, config } = drawn;
      const { ep, tp, pp, dp } = spec;
      const layout = planLayout(spec, config);
      const plan = planEngine(layout, SIZING, GPU_TRAITS);
      const stages = range(pp).map((stage) =>
        rankMemory(plan, GPU_TRAITS, layout.rankAt({ replica: 0, stage, ep: 0 })),
      );
      const placement = { attnTp: tp, attnDp: ep / tp, pp, moeTp: 1, ep, replicas: dp, gpusPerNode: 8 };
      const ledger = rankLedger({
        ...{ model: factsOf(drawn), hardware: hardwareNamed('h100'), placement, precision: 'bf16' },
        framework: FRAMEWORK.vllm,
      });
      const fullest = Math.ceil(config.numLayers / pp);
      // What serving frameworks hold otherwise: a router in 16 bits, and the vocabulary cut over TP on the ends.
      const gates = 2 * fullest * config.numExperts * config.modelDim;
      const ends = (2 * 2 * config.vocabSize * config.modelDim) / tp / (pp > 1 ? 2 : 1);
      const matrices = maxOf(
        stages.map((items) => bytesOf(items, /^weights\/l\d+\/(qkv|out|w1|w2|w3)(\/|$)/)),
      );
      expect(Math.abs(ledger.weights - gates - ends - matrices)).toBeLessThanOrEqual(3);
      const { cacheSlots, maxLength } = plan.sizes;
      const cache = maxOf(stages.map((items) => bytesOf(items, /^kv-cache/)));
      expect(ledger.cachePerPosition).toBe(cache / (cacheSlots * maxLength));
    }),
    { numRuns: Number(process.env['MOEBIUS_RUNS'] ?? 50) },
  );
});
