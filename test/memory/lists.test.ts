/** The lists of an engine's memory without a device: worked by hand, and for random layouts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { at, range, sum } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { CPU_TRAITS, GPU_TRAITS } from '../../src/memory/device-traits.ts';
import { planEngine, type EngineSizing } from '../../src/memory/engine-plan.ts';
import {
  bytesByPurpose,
  deviceMemory,
  fullestRank,
  type MemoryItem,
  rankMemory,
  totalBytes,
} from '../../src/memory/lists.ts';
import { CACHE_DTYPES } from '../../src/memory/rank-sizes.ts';
import { type ExpertPlacement, placementOf } from '../../src/routing/placement.ts';
import { WEIGHT_DTYPES } from '../../src/tensor/quantised.ts';
import { modelWith, plannable } from '../layout/support.ts';

const model = modelWith({
  ...{ numLayers: 2, vocabSize: 70, modelDim: 64, numHeads: 2, numKvHeads: 2, headDim: 32 },
  ...{ numExperts: 4, topK: 2, expertDim: 96 },
});
const SIZING: EngineSizing = { maxSequences: 2, maxLength: 10, maxStepTokens: 4 };
const planOn = (text: string, sizing = SIZING) =>
  planEngine(planLayout(parseLayout(text), model), sizing, GPU_TRAITS);

/** Bytes of one buffer, and how many, by the name's last parts. */
function itemsNamed(items: readonly MemoryItem[], name: string): [bytes: number, count: number][] {
  return items.filter((item) => item.name.includes(name)).map(({ bytes, count }) => [bytes, count]);
}

test('two stages of two ranks, by hand', () => {
  const items = deviceMemory(planOn('ep=2,pp=2,tp=2'), GPU_TRAITS);
  // One attention group with both sequences: 8 tokens of 64; a member keeps 4 of them, for 2 experts each.
  expect(itemsNamed(items, 'staging/x')).toEqual([[2 * 4 * 8 * 64, 2]]);
  expect(itemsNamed(items, 'communication/mixed')).toEqual([[2 * 4 * 4 * 64, 2]]);
  expect(itemsNamed(items, 'communication/send')).toEqual([[2 * 4 * 4 * 2 * 64, 2]]);
  // 5 starts a rank, in parts that begin at multiples of 256 bytes.
  expect(itemsNamed(items, 'communication/start')).toEqual([
    [2 * 256, 2],
    [2 * 256, 2],
  ]);
  // One head of query, key and value, 32 wide.
  expect(itemsNamed(items, 'workspace/qkv')).toEqual([[4 * 8 * 3 * 32, 4]]);
  // Both ranks' experts in one stack: 2 ranks, 8 tokens, 2 of their local experts each.
  expect(itemsNamed(items, 'workspace/hidden')).toEqual([[4 * 2 * 8 * 2 * 96, 2]]);
  // 2 slots of 10 positions, one head of 32, on two ranks for each of two layers.
  expect(itemsNamed(items, 'kv-cache/k')).toEqual([[4 * 2 * 10 * 32, 4]]);
  // Half of 70 rows of the vocabulary each.
  expect(itemsNamed(items, 'lm-head')).toEqual([
    [4 * 35 * 64, 1],
    [4 * 35 * 64, 1],
  ]);
  expect(itemsNamed(items, 'weights/l0/w1')).toEqual([[4 * 4 * 96 * 64, 1]]);
  expect(itemsNamed(items, 'head/logits')).toEqual([[4 * 8 * 35, 2]]);
  expect(itemsNamed(items, 'tables/rope')).toEqual([[4 * 10 * 32, 1]]);
});

test('a rank of a cluster holds its own experts, layers and vocabulary', () => {
  const plan = planOn('ep=2,pp=2,tp=2');
  const first = rankMemory(plan, GPU_TRAITS, 0);
  const last = rankMemory(plan, GPU_TRAITS, 3);
  expect(itemsNamed(first, '/w1')).toEqual([[4 * 2 * 96 * 64, 1]]);
  expect(first.filter(({ name }) => name.includes('l1/'))).toEqual([]);
  expect(itemsNamed(first, 'embedding')).toEqual([[4 * 70 * 64, 1]]);
  expect(itemsNamed(first, 'head')).toEqual([[4 * 8 * 32, 1]]); // heads, and no head of the model
  expect(itemsNamed(last, 'embedding')).toEqual([]);
  expect(itemsNamed(last, 'lm-head')).toEqual([[4 * 35 * 64, 1]]);
  expect(itemsNamed(last, '/w1').length).toBe(1);
  expect(itemsNamed(first, 'staging/x')).toEqual([[4 * 8 * 64, 1]]);
  expect(itemsNamed(first, 'workspace/hidden')).toEqual([[4 * 8 * 2 * 96, 1]]);
  expect(itemsNamed(first, 'kv-cache')).toEqual([
    [4 * 2 * 10 * 32, 1],
    [4 * 2 * 10 * 32, 1],
  ]);
});

test('where a table places the experts, the fullest rank is the one with most of them', () => {
  const placed = (layout: string, expertsOfRank: number[][]) =>
    planOn(layout, { ...SIZING, placement: placementOf(expertsOfRank, 4) });
  const last = placed('ep=2', [[3], [0, 1, 2]]);
  const { rank, bytes } = fullestRank(last, GPU_TRAITS);
  expect(rank).toBe(1);
  // Two experts more of three matrices, in both layers of the model.
  expect(bytes - totalBytes(rankMemory(last, GPU_TRAITS, 0))).toBe(2 * 2 * 3 * 4 * 96 * 64);
  expect(fullestRank(placed('ep=2', [[0, 1, 2], [3]]), GPU_TRAITS).rank).toBe(0);
  expect(fullestRank(placed('ep=4', [[0], [1], [2, 3, 0], [3]]), GPU_TRAITS).rank).toBe(2);
});

test('keys in parts take memory on a GPU, where sequences and heads are few and keys many', () => {
  const parts = (sizing: EngineSizing, traits = GPU_TRAITS) =>
    itemsNamed(deviceMemory(planOn('ep=1', sizing), traits), 'attention-parts');
  const long = { ...SIZING, maxLength: 600 };
  // 2 sequences, 2 heads, 5 parts of 128 keys: 32 sums, and their weight, on whole vectors.
  expect(parts(long)).toEqual([[4 * 2 * 2 * 5 * 36, 1]]);
  expect(parts(long, CPU_TRAITS)).toEqual([]);
  expect(parts(SIZING)).toEqual([]);
  const many = { ...long, maxSequences: 128 };
  expect(parts(many)).toEqual([]);
  // Heads with the same keys share workgroups, which are fewer then: 128 of 256.
  const grouped = planLayout(parseLayout('ep=1'), { ...model, numKvHeads: 1 });
  const items = deviceMemory(planEngine(grouped, many, GPU_TRAITS), GPU_TRAITS);
  expect(itemsNamed(items, 'attention-parts')).toEqual([[4 * 128 * 2 * 5 * 36, 1]]);
});

const sizing = fc.record({
  maxSequences: fc.integer({ min: 1, max: 40 }),
  maxLength: fc.integer({ min: 1, max: 600 }),
  maxStepTokens: fc.integer({ min: 1, max: 300 }),
  weightDtype: fc.constantFrom(...WEIGHT_DTYPES),
  cacheDtype: fc.constantFrom(...CACHE_DTYPES),
  mostOwners: fc.constantFrom(1, 2, Infinity),
});

/** Experts anywhere, with a replica or two; ranks may have none. */
function anywhere(seed: number, ranks: number, experts: number): ExpertPlacement {
  const random = seededRandom(seed);
  const ofRank = range(ranks).map((): number[] => []);
  const held = [...range(experts), random.integer(experts), random.integer(experts)];
  for (const expert of held) at(ofRank, random.integer(ranks)).push(expert);
  return placementOf(ofRank, experts);
}

test('random layouts: what all ranks of a cluster hold, against one device', () => {
  fc.assert(
    fc.property(plannable, sizing, fc.option(fc.nat()), ({ spec, config }, limits, seed) => {
      const layout =
        seed === null
          ? planLayout(spec, config)
          : planLayout(spec, config, anywhere(seed, spec.ep, config.numExperts));
      const plan = planEngine(layout, limits, CPU_TRAITS);
      const all = range(layout.worldSize).map((rank) => rankMemory(plan, CPU_TRAITS, rank));
      const device = bytesByPurpose(deviceMemory(plan, CPU_TRAITS));
      const ranks = all.map(bytesByPurpose);
      const ofRanks = (purpose: string): number => sum(ranks.map((bytes) => bytes[purpose] ?? 0));
      // Every rank has a cache and a workspace of its own; but keys in stacks and padding of parts are shared.
      expect(ofRanks('kv-cache')).toBe(device['kv-cache']);
      for (const purpose of ['staging', 'communication', 'workspace']) {
        const least = (device[purpose] ?? 0) - 16 * layout.worldSize;
        expect(ofRanks(purpose)).toBeGreaterThanOrEqual(least);
      }
      expect(ofRanks('weights')).toBeGreaterThanOrEqual(device['weights'] ?? Infinity);
      const most = Math.max(...all.map(totalBytes));
      const fullest = fullestRank(plan, CPU_TRAITS);
      expect(fullest.bytes).toBe(most);
      expect(totalBytes(at(all, fullest.rank))).toBe(most);
      if (layout.worldSize === 1) expect(ranks).toEqual([device]);
    }),
  );
});
