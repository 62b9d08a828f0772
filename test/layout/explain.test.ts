import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { sum } from '../../src/core/math.ts';
import { explainLayout } from '../../src/layout/explain.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { renderExplanation } from '../../src/layout/render.ts';
import { CARD_LAYOUT, parseLayout } from '../../src/layout/spec.ts';
import type { MoeConfig } from '../../src/model/config.ts';
import { modelWith, plannable } from './support.ts';

function explain(
  text: string,
  changes: Partial<MoeConfig> = {},
  bytesPerWeight = 2,
): ReturnType<typeof explainLayout> {
  const config = modelWith(changes);
  return explainLayout(planLayout(parseLayout(text), config), config, bytesPerWeight);
}

describe('explainLayout of the card', () => {
  const card = explain('ep=16,pp=4,tp=2,dp=2');

  test('is plain data', () => {
    expect(JSON.parse(JSON.stringify(card))).toEqual(card);
    expect(card).toMatchObject({ layout: 'ep=16,pp=4,tp=2,dp=2', model: 'test-model', worldSize: 128 });
  });

  test('follows rank 37 along every axis', () => {
    expect(card.exampleRank).toBe(37);
    expect(card.groups.map(({ axis, size, numGroups }) => [axis, size, numGroups])).toEqual([
      ['tp', 2, 64],
      ['attnDp', 16, 8],
      ['ep', 16, 8],
      ['edp', 2, 64],
      ['pp', 4, 32],
    ]);
    expect(card.groups.find((group) => group.axis === 'pp')?.ranks).toEqual([5, 21, 37, 53]);
  });

  // 4 layers a stage; 8 of 16 heads of 64; one expert of 3 x 2048 x 1024; 16 gate rows; 2 norms a layer.
  test('a middle rank holds 33.6 M weights, 67.2 MB in 2 bytes each', () => {
    const attention = 4 * 4 * (8 * 64) * 1024;
    const experts = 4 * 3 * 2048 * 1024;
    const gate = 4 * 16 * 1024;
    const norms = 4 * 2 * 1024;
    const total = attention + experts + gate + norms;
    expect(total).toBe(33_628_160);
    expect(card.ranks[37]).toEqual({
      rank: 37,
      replica: 0,
      stage: 2,
      ep: 5,
      tp: 1,
      tpGroup: 2,
      layers: { first: 8, count: 4 },
      heads: { first: 8, count: 8 },
      kvHeads: { first: 8, count: 8 },
      experts: { first: 5, count: 1 },
      expertIds: [5],
      params: { attention, experts, gate, norms, embedding: 0, lmHead: 0, total },
      bytes: 67_256_320,
    });
  });

  test('the embedding is on the first stage, the LM head and final norm on the last', () => {
    expect(card.ranks[0]?.params).toMatchObject({ embedding: 32_768_000, lmHead: 0, norms: 8192 });
    expect(card.ranks[127]?.params).toMatchObject({ embedding: 0, lmHead: 16_384_000, norms: 9216 });
  });

  test('one copy of the model has 1.74 G weights', () => {
    const perLayer = 4 * 1024 * 1024 + 16 * 3 * 2048 * 1024 + 16 * 1024 + 2 * 1024;
    expect(card.modelParams).toBe(16 * perLayer + 2 * 32_000 * 1024 + 1024);
    expect(card.storedBytes).toBe(2 * sum(card.ranks.map((share) => share.params.total)));
  });
});

test('without any parallelism the one rank holds the model exactly', () => {
  const { modelParams, storedParams } = explain('ep=1', { numKvHeads: 4 });
  expect(storedParams).toBe(modelParams);
});

test('experts are held exactly dp times, whatever the layout', () => {
  fc.assert(
    fc.property(plannable, ({ spec, config }) => {
      const { ranks } = explainLayout(planLayout(spec, config), config);
      const oneCopy = config.numLayers * config.numExperts * 3 * config.expertDim * config.modelDim;
      expect(sum(ranks.map((share) => share.params.experts))).toBe(spec.dp * oneCopy);
    }),
    { numRuns: 30 },
  );
});

test('explaining a layout with another model is our mistake', () => {
  const layout = planLayout(CARD_LAYOUT, modelWith());
  expect(() => explainLayout(layout, modelWith({ name: 'other' }))).toThrow(InvariantError);
});

describe('renderExplanation', () => {
  const text = renderExplanation(explain('ep=16,pp=4,tp=2,dp=2'));

  test('shows both views', () => {
    expect(text).toContain('attention  tp 2 x attnDp 16 x pp 4 = 128');
    expect(text).toContain('experts    etp 1 x ep 16 x edp 2 x pp 4 = 128');
  });

  test('draws a replica', () => {
    const lines = text.split('\n');
    const first = lines.findIndex((line) => line.startsWith('Replica 0'));
    expect(lines.slice(first, first + 7)).toEqual([
      'Replica 0, ranks 0-63 (replica 1 is alike); [ ] = a TP group of 2',
      '  stage  layers',
      '      0     0-3  [ 0  1] [ 2  3] [ 4  5] [ 6  7] [ 8  9] [10 11] [12 13] [14 15]',
      '      1     4-7  [16 17] [18 19] [20 21] [22 23] [24 25] [26 27] [28 29] [30 31]',
      '      2    8-11  [32 33] [34 35] [36 37] [38 39] [40 41] [42 43] [44 45] [46 47]',
      '      3   12-15  [48 49] [50 51] [52 53] [54 55] [56 57] [58 59] [60 61] [62 63]',
      '        experts    0  1    2  3    4  5    6  7    8  9   10 11   12 13   14 15',
    ]);
  });

  test('tells one worked sentence per axis', () => {
    const flat = text.replace(/\s+/g, ' ');
    expect(flat).toContain('TP 2 Ranks 36 and 37 share one attention block: rank 37 computes heads 8-15');
    expect(flat).toContain('EP 16 Ranks 32-47 own all experts of stage 2; rank 37 owns expert 5.');
    expect(flat).toContain(
      'PP 4 Stage 2 runs layers 8-11: rank 37 takes activations from rank 21 and hands them',
    );
    expect(flat).toContain('DP 2 Ranks 37 and 101 are copies of each other');
    expect(flat).toContain('rank 37, in group 2, serves sequences 2, 18, 34');
  });

  test('a layout too wide for the page is shortened, the last group kept', () => {
    const wide = renderExplanation(explain('ep=256', { numExperts: 256 }));
    expect(wide).toMatch(/^ {6}0 {4}0-15 {2}\[ {2}0\] \[ {2}1\].* \.\.\. \[255\]$/m);
  });

  test('many stages are shortened, the last one kept', () => {
    const deep = renderExplanation(explain('pp=12'));
    expect(deep).toMatch(/\n {6}3 .*\n {4}\.\.\.\n {5}11 /);
  });

  test('fits 80 columns for any layout', () => {
    const large = renderExplanation(
      explain('ep=128,pp=16,tp=16,dp=32', { numExperts: 256, numHeads: 128, numKvHeads: 8 }),
    );
    const texts = [text, large, renderExplanation(explain('ep=1'))];
    fc.assert(
      fc.property(plannable, ({ spec, config }) => {
        texts.push(renderExplanation(explainLayout(planLayout(spec, config), config)));
      }),
      { numRuns: 40 },
    );
    const lines = texts.flatMap((each) => each.split('\n'));
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.filter((line) => /undefined|NaN|\s$/.test(line))).toEqual([]);
  });
});
