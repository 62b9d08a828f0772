/** What a timed step says of itself: which passes, whose rows, at what cost, and what the host did meanwhile. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at, range, sum } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { flopsPerToken } from '../../src/model/cost.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import type { MoeConfig } from '../../src/model/config.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { createEngine, type StepOptions, type StepResult } from '../../src/runtime/engine.ts';
import { virtualCluster } from '../../src/runtime/step/virtual-cluster.ts';
import { testPlatform } from '../setup/gpu.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';

let gpu: Gpu;
let tiny: Checkpoint;
let model: MoeConfig;
beforeAll(async () => {
  const platform = testPlatform();
  gpu = await openGpu(platform);
  tiny = await loadTinyMoe();
  model = { ...tiny.config, numLayers: 2 };
});
afterAll(() => gpu.destroy());

const LENGTH = 6;

async function stepOn(
  layout: string,
  sequences: number,
  options: StepOptions,
  config = model,
): Promise<StepResult & { readonly wallNs: number }> {
  const engine = await createEngine(gpu, {
    layout: planLayout(parseLayout(layout), config),
    weights: syntheticWeights(config, 1),
    maxSequences: sequences,
    maxLength: LENGTH,
    microBatches: 2,
  });
  try {
    const requests = range(sequences).map((sequence) => ({ sequence, ids: [1, 2, 3, 4, 5, 6] }));
    const began = gpu.now();
    const result = await engine.forward(requests, options);
    return { ...result, wallNs: gpu.now() - began };
  } finally {
    engine.destroy();
  }
}

test.each(['ep=1', 'ep=2,pp=2,tp=2,dp=2', 'ep=4,pp=1,tp=2,dp=1'])(
  '%s: the FLOP of all spans are those of the model, whatever the layout',
  async (layout) => {
    if (!gpu.has('timestamp-query')) return;
    const { spans } = await stepOn(layout, 8, { timing: 'span', logits: 'all' });
    const flopOf = (operation: string): number =>
      sum(spans.filter(({ tag }) => tag.operation === operation).map(({ tag }) => tag.flop));
    const tokens = 8 * LENGTH;
    const expected = flopsPerToken(model, (LENGTH + 1) / 2);
    expect(flopOf('attention')).toBe(tokens * (expected.attentionProjections + expected.attentionScores));
    expect(flopOf('experts')).toBe(tokens * expected.experts);
    expect(flopOf('logits')).toBe(tokens * expected.lmHead);
    const routed = spans.filter(({ tag }) => tag.operation === 'route').map(({ tag }) => tag);
    expect(sum(new Set(routed.map(({ rows }) => rows)))).toBeGreaterThan(0);
    const once = new Map(routed.map((tag) => [`${tag.layer}/${tag.microBatch}/${tag.stage}`, tag.flop]));
    expect(sum(once.values())).toBe(tokens * expected.router);
  },
);

test('the vocabulary counts once for each pass of logits, however many groups have a row', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const { spans } = await stepOn('ep=4,pp=1,tp=2,dp=1', 8, { timing: 'span' });
  const passes = spans.map(({ tag }) => tag).filter(({ operation }) => operation === 'logits');
  const { modelDim: width, vocabSize } = model;
  // A micro-batch has 4 sequences, each a row on both of its TP ranks.
  const rows = 8 * (4 * width + 2 * vocabSize);
  expect(passes.map(({ bytes }) => bytes)).toEqual([0, 1].map(() => 4 * vocabSize * width + rows));
});

test('every pass says where it was, and neighbours of one name are one pass', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const { spans } = await stepOn('ep=2,pp=2,tp=2,dp=1', 4, { timing: 'span' });
  const tags = spans.map(({ tag }) => tag);
  expect(new Set(tags.map(({ stage }) => stage))).toEqual(new Set([0, 1]));
  expect(new Set(tags.map(({ microBatch }) => microBatch))).toEqual(new Set([0, 1]));
  expect(tags.every(({ layer, stage }) => layer === undefined || layer === stage)).toBe(true);
  expect(tags.filter(({ layer, operation }) => layer === undefined && operation === 'logits')).toHaveLength(
    2,
  );
  for (const { rows, rowsOf, ranks } of tags) {
    expect(ranks).toEqual({ first: 0, count: 2 });
    if (rowsOf !== undefined) expect([rowsOf.length, sum(rowsOf)]).toEqual([2, rows]);
  }
  const layers = tags.filter(({ layer, microBatch }) => layer === 0 && microBatch === 0);
  expect(layers.map(({ operation }) => operation)).toEqual([
    ...[
      'attention',
      'reduce-scatter',
      'route',
      'all-to-all',
      'experts',
      'all-to-all',
      'combine',
      'all-gather',
    ],
  ]);
});

test('apart, with a pass per dispatch, a rank has its own passes, and experts those of their stack', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const { spans } = await stepOn('ep=4,pp=1,tp=2,dp=1', 4, { timing: 'dispatch', apart: true });
  const partsOf = (operation: string) =>
    new Set(spans.filter(({ tag }) => tag.operation === operation).map(({ part }) => JSON.stringify(part)));
  const one = range(4).map((rank) => JSON.stringify({ ranks: [rank] }));
  expect(partsOf('embedding')).toEqual(new Set(one));
  expect(partsOf('attention')).toEqual(new Set(one));
  expect(partsOf('logits')).toEqual(new Set(one));
  expect(partsOf('combine')).toEqual(new Set(one));
  expect(partsOf('experts')).toEqual(new Set([JSON.stringify({ ranks: [0, 1, 2, 3] })]));
  expect(partsOf('all-gather')).toEqual(new Set([undefined]));
});

test('a collective within an operation is of all ranks, and not of the last one before it', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const config: MoeConfig = { ...model, attention: { qkNorm: 'width' } };
  const { spans } = await stepOn('ep=2,pp=1,tp=2,dp=1', 2, { timing: 'dispatch', apart: true }, config);
  const reduced = spans.filter(({ kernel }) => kernel?.includes('all-reduce'));
  expect(reduced.map(({ tag, part }) => [tag.operation, part])).toContainEqual(['attention', undefined]);
  expect(reduced.filter(({ part }) => part !== undefined)).toEqual([]);
});

test('a product of several ranks is theirs alone, and reads its weights once', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  // Rank 0 fills the room that each has; the rows of the others are one product.
  const counts = [8, 1, 1, 1];
  const partsAndBytes = async (options: StepOptions) => {
    const engine = await createEngine(gpu, {
      layout: planLayout(parseLayout('ep=4,pp=1,tp=1,dp=1'), model),
      weights: syntheticWeights(model, 1),
      ...{ maxSequences: 4, maxLength: 8, maxStepTokens: 8, microBatches: 1 },
    });
    try {
      const requests = counts.map((count, sequence) => ({ sequence, ids: range(count).map((i) => i + 1) }));
      const result = await engine.forward(requests, { timing: 'dispatch', logits: 'all', ...options });
      const of = (operation: string) =>
        result.spans.filter(({ tag }) => tag.operation === operation && (tag.layer ?? 0) === 0);
      const firstOf = (operation: string) => of(operation)[0]?.tag.bytes ?? expect.fail();
      const several = (operation: string) =>
        of(operation).flatMap(({ part }) => {
          const { ranks } = part as { ranks: readonly number[] };
          return ranks.length > 1 ? [ranks] : [];
        });
      const slices = virtualCluster(result).slices.filter(({ operation }) => operation === 'logits');
      return {
        attention: [several('attention'), firstOf('attention')] as const,
        logits: [several('logits'), firstOf('logits')] as const,
        sources: range(4).map((rank) => slices.find((slice) => slice.rank === rank)?.source),
      };
    } finally {
      engine.destroy();
    }
  };
  const shared = await partsAndBytes({});
  const apart = await partsAndBytes({ apart: true });
  // qkv and the output projection; the norm and the product of logits.
  expect(shared.attention[0]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  expect(shared.logits[0]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  expect([apart.attention[0], apart.logits[0]]).toEqual([[], []]);
  expect(apart.sources).toEqual(range(4).map(() => 'measured'));
  expect(shared.sources).toEqual(range(4).map(() => 'split'));
  const { modelDim: width, vocabSize, numHeads, numKvHeads, headDim } = model;
  const matrices = width * headDim * (2 * numHeads + 2 * numKvHeads);
  expect(apart.attention[1] - shared.attention[1]).toBe(2 * 4 * matrices);
  expect(apart.logits[1] - shared.logits[1]).toBe(2 * 4 * width * vocabSize);
});

test.each(['none', 'span', 'dispatch'] as const)(
  'timing %s: what the host did has no gap, and lists are sent within it',
  async (timing) => {
    const { host, hostNs, submits, spans, wallNs } = await stepOn('ep=2,pp=2,tp=2,dp=2', 8, { timing });
    expect(host.map(({ phase }) => phase)[0]).toBe('plan');
    expect(host.at(-1)?.phase).toBe('read-back');
    range(host.length - 1).forEach((i) => expect(at(host, i + 1).beginNs).toBe(at(host, i).endNs));
    const lasted = sum(host.map(({ beginNs, endNs }) => endNs - beginNs));
    expect(Math.abs(lasted - hostNs)).toBeLessThanOrEqual(1e-6 * hostNs);
    expect(hostNs).toBeLessThanOrEqual(wallNs);
    // Two stages and two micro-batches: three clocks, a list each.
    expect(submits).toHaveLength(3);
    expect(sum(submits.map((submit) => submit.spans.count))).toBe(spans.length);
    for (const { submittedNs } of submits) {
      expect(submittedNs).toBeGreaterThanOrEqual(at(host, 0).beginNs);
      expect(submittedNs).toBeLessThanOrEqual(at(host, host.length - 1).endNs);
    }
  },
);
