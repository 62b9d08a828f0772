import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { range } from '../../src/core/math.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { CARD_LAYOUT } from '../../src/layout/spec.ts';
import { modelWith } from './support.ts';

/*
 * The card by hand: 2 replicas x 4 stages x 16 ranks; stage 2 of replica 0 is ranks 32-47, in pairs
 *     [32 33] [34 35] [36 37] [38 39] [40 41] [42 43] [44 45] [46 47]
 * Rank 37 = (0 * 4 + 2) * 16 + 5. Replica 1 is 64 ranks further.
 */
describe('the card', () => {
  const card = planLayout(CARD_LAYOUT, modelWith());

  test('sizes', () => {
    const { worldSize, ranksPerStage, attnDp, tpGroupsPerStage } = card;
    expect({ worldSize, ranksPerStage, attnDp, tpGroupsPerStage }).toEqual({
      worldSize: 128,
      ranksPerStage: 32,
      attnDp: 16,
      tpGroupsPerStage: 8,
    });
  });

  test('coordinates of ranks 0, 37, 101 and 127', () => {
    expect(card.coordinates(0)).toEqual({ replica: 0, stage: 0, ep: 0, tp: 0, tpGroup: 0 });
    expect(card.coordinates(37)).toEqual({ replica: 0, stage: 2, ep: 5, tp: 1, tpGroup: 2 });
    expect(card.coordinates(101)).toEqual({ replica: 1, stage: 2, ep: 5, tp: 1, tpGroup: 2 });
    expect(card.coordinates(127)).toEqual({ replica: 1, stage: 3, ep: 15, tp: 1, tpGroup: 7 });
    expect(card.rankAt({ replica: 0, stage: 2, ep: 5 })).toBe(37);
  });

  test('groups of rank 37', () => {
    expect(card.tpGroup(37)).toEqual([36, 37]);
    expect(card.epGroup(37)).toEqual([32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47]);
    expect(card.edpGroup(37)).toEqual([37, 101]);
    expect(card.ppGroup(37)).toEqual([5, 21, 37, 53]);
    expect(card.attnDpGroup(37)).toEqual([
      33, 35, 37, 39, 41, 43, 45, 47, 97, 99, 101, 103, 105, 107, 109, 111,
    ]);
    expect(card.group(37, 'edp')).toEqual(card.edpGroup(37));
  });

  test('counts of groups', () => {
    const counts = (['tp', 'attnDp', 'ep', 'edp', 'pp'] as const).map((axis) => card.groups(axis).length);
    expect(counts).toEqual([64, 8, 8, 64, 32]);
  });

  test('ownership', () => {
    expect(range(4).map((stage) => card.layersOf(stage).first)).toEqual([0, 4, 8, 12]);
    expect(card.stageOfLayer(11)).toBe(2);
    expect(card.headsOf(1)).toEqual({ first: 8, count: 8 });
    expect(card.kvHeadsOf(1)).toEqual({ first: 8, count: 8 });
    expect(card.expertsOf(5)).toEqual([5]);
    expect(card.slotsOf(5)).toEqual({ first: 5, count: 1 });
    expect(card.ownersOfExpert(5)).toEqual([5]);
  });

  test('sequences are dealt round-robin over the 16 TP groups of both replicas', () => {
    expect(card.sequencesOf(35, 0, 2)).toEqual([2, 18, 34]);
    expect(card.sequencesOf(35, 1, 2)).toEqual([10, 26]);
    expect(card.sequencesOf(3, 1, 7)).toEqual([]);
    expect(card.sequencesOf(0, 0, 0)).toEqual([]);
  });
});

describe('uneven and shared ownership', () => {
  test('7 layers over 3 stages: the longer run first', () => {
    const layout = planLayout({ ep: 1, pp: 3, tp: 1, dp: 1 }, modelWith({ numLayers: 7 }));
    expect(range(3).map(layout.layersOf)).toEqual([
      { first: 0, count: 3 },
      { first: 3, count: 2 },
      { first: 5, count: 2 },
    ]);
    expect(range(7).map(layout.stageOfLayer)).toEqual([0, 0, 0, 1, 1, 2, 2]);
  });

  test('2 KV heads over tp=4: ranks 0 and 1 hold head 0, ranks 2 and 3 hold head 1', () => {
    const layout = planLayout({ ep: 4, pp: 1, tp: 4, dp: 1 }, modelWith({ numHeads: 8, numKvHeads: 2 }));
    expect(range(4).map((tp) => layout.headsOf(tp).first)).toEqual([0, 2, 4, 6]);
    expect(range(4).map(layout.kvHeadsOf)).toEqual([
      { first: 0, count: 1 },
      { first: 0, count: 1 },
      { first: 1, count: 1 },
      { first: 1, count: 1 },
    ]);
  });

  test('8 query and 4 KV heads over tp=2: two KV heads each', () => {
    const layout = planLayout({ ep: 2, pp: 1, tp: 2, dp: 1 }, modelWith({ numHeads: 8, numKvHeads: 4 }));
    expect(range(2).map(layout.kvHeadsOf)).toEqual([
      { first: 0, count: 2 },
      { first: 2, count: 2 },
    ]);
  });

  test('tokens of a TP group: 5 over 2, and none', () => {
    const layout = planLayout({ ep: 2, pp: 1, tp: 2, dp: 1 }, modelWith());
    expect(range(2).map((tp) => layout.tokensOf(5, tp))).toEqual([
      { first: 0, count: 3 },
      { first: 3, count: 2 },
    ]);
    expect(range(2).map((tp) => layout.tokensOf(1, tp).count)).toEqual([1, 0]);
    expect(layout.tokensOf(0, 1)).toEqual({ first: 0, count: 0 });
  });

  test('4 ranks, 8 experts: two neighbours each', () => {
    const layout = planLayout({ ep: 4, pp: 1, tp: 1, dp: 1 }, modelWith({ numExperts: 8 }));
    expect(layout.expertsOf(3)).toEqual([6, 7]);
    expect(layout.slotsOf(3)).toEqual({ first: 6, count: 2 });
    expect(range(8).flatMap(layout.ownersOfExpert)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });
});

test('an index outside its axis is our mistake', () => {
  const card = planLayout(CARD_LAYOUT, modelWith());
  const wrong: [() => unknown, RegExp][] = [
    [() => card.coordinates(128), /rank 128 is not in \[0, 128\)/],
    [() => card.rankAt({ replica: 0, stage: 0, ep: 16 }), /ep 16 is not in \[0, 16\)/],
    [() => card.rankAt({ replica: 2, stage: 0, ep: 0 }), /replica 2 is not in \[0, 2\)/],
    [() => card.layersOf(4), /stage 4/],
    [() => card.stageOfLayer(16), /layer 16/],
    [() => card.headsOf(2), /tp index 2/],
    [() => card.kvHeadsOf(-1), /tp index -1/],
    [() => card.expertsOf(16), /ep index 16/],
    [() => card.ownersOfExpert(16), /expert 16/],
    [() => card.tokensOf(4, 2), /tp index 2/],
    [() => card.sequencesOf(4, 2, 0), /replica 2/],
    [() => card.sequencesOf(4, 0, 8), /TP group 8/],
  ];
  for (const [call, message] of wrong) {
    expect(call).toThrow(InvariantError);
    expect(call).toThrow(message);
  }
});
