import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, InvariantError } from '../../src/core/errors.ts';
import { at, range, sum } from '../../src/core/math.ts';
import {
  arrivalsAt,
  DROPPED,
  entryOfRow,
  exclusiveScan,
  isPermutation,
  planDispatch,
  tilesOf,
} from '../../src/routing/dispatch-plan.ts';
import { expertOwners, planLayout } from '../../src/layout/layout.ts';
import { modelWith } from '../layout/support.ts';

const TWO_RANKS = [
  [0, 1],
  [2, 3],
];

describe('planDispatch: the example in its comment', () => {
  const plan = planDispatch(
    [
      [2, 0, 2, 1],
      [0, 3],
    ],
    TWO_RANKS,
  );

  test('sends', () => {
    expect(plan.sends).toEqual([
      { count_E: [1, 1, 2, 0], start_E: [0, 1, 2, 4], slot_TK: [2, 0, 3, 1], numRows: 4 },
      { count_E: [1, 0, 0, 1], start_E: [0, 1, 1, 1], slot_TK: [0, 1], numRows: 2 },
    ]);
  });

  test('receives', () => {
    expect(plan.receives).toEqual([
      {
        blocks: [
          { source: 0, expert: 0, sendStart: 0, recvStart: 0, count: 1 },
          { source: 1, expert: 0, sendStart: 0, recvStart: 1, count: 1 },
          { source: 0, expert: 1, sendStart: 1, recvStart: 2, count: 1 },
          { source: 1, expert: 1, sendStart: 1, recvStart: 3, count: 0 },
        ],
        count_L: [2, 1],
        start_L: [0, 2],
        numRows: 3,
      },
      {
        blocks: [
          { source: 0, expert: 2, sendStart: 2, recvStart: 0, count: 2 },
          { source: 1, expert: 2, sendStart: 1, recvStart: 2, count: 0 },
          { source: 0, expert: 3, sendStart: 4, recvStart: 2, count: 0 },
          { source: 1, expert: 3, sendStart: 1, recvStart: 2, count: 1 },
        ],
        count_L: [2, 1],
        start_L: [0, 2],
        numRows: 3,
      },
    ]);
  });

  test('tiles', () => {
    const [first, second] = plan.receives.map((receive) => tilesOf(receive, 1));
    const places = [
      { localExpert: 0, first: 0, end: 1 },
      { localExpert: 0, first: 1, end: 2 },
      { localExpert: 1, first: 2, end: 3 },
    ];
    expect([first, second]).toEqual([places, places]);
    expect(tilesOf(at(plan.receives, 0), 4)).toEqual([
      { localExpert: 0, first: 0, end: 2 },
      { localExpert: 1, first: 2, end: 3 },
    ]);
  });

  test('arrivals', () => {
    expect(arrivalsAt(plan, 1)).toEqual([
      { source: 0, entry: 0, expert: 2 },
      { source: 0, entry: 2, expert: 2 },
      { source: 1, entry: 1, expert: 3 },
    ]);
  });
});

describe('planDispatch: edges', () => {
  test('an empty expert keeps its place', () => {
    const [send] = planDispatch([[0, 2, 2, 0]], [[0, 1, 2]]).sends;
    expect(send).toEqual({ count_E: [2, 0, 2], start_E: [0, 2, 2], slot_TK: [0, 2, 3, 1], numRows: 4 });
  });

  test('all tokens to one expert: in order on one rank, nothing on the other', () => {
    const plan = planDispatch([[3, 3, 3], [3]], TWO_RANKS);
    expect(plan.sends.map((send) => send.slot_TK)).toEqual([[0, 1, 2], [0]]);
    expect(plan.receives.map((receive) => receive.count_L)).toEqual([
      [0, 0],
      [0, 4],
    ]);
    expect(arrivalsAt(plan, 1).map(({ source, entry }) => [source, entry])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
    ]);
  });

  test('zero tokens', () => {
    const plan = planDispatch([[], []], TWO_RANKS);
    expect(plan.sends[0]).toEqual({
      count_E: [0, 0, 0, 0],
      start_E: [0, 0, 0, 0],
      slot_TK: [],
      numRows: 0,
    });
    expect(plan.receives.map((receive) => receive.numRows)).toEqual([0, 0]);
    expect(arrivalsAt(plan, 0)).toEqual([]);
  });

  test('k = E: every expert gets every token', () => {
    const [send] = planDispatch([[1, 0, 0, 1]], [[0, 1]]).sends;
    expect(send).toEqual({ count_E: [2, 2], start_E: [0, 2], slot_TK: [2, 0, 1, 3], numRows: 4 });
  });

  test('E = 1: the identity', () => {
    const plan = planDispatch([[0, 0, 0]], [[0]]);
    expect(plan.sends[0]?.slot_TK).toEqual([0, 1, 2]);
    expect(plan.receives[0]?.blocks).toEqual([
      { source: 0, expert: 0, sendStart: 0, recvStart: 0, count: 3 },
    ]);
  });

  test('a dropped pair has no row', () => {
    const plan = planDispatch([[1, DROPPED, 0, 1]], [[0, 1]]);
    expect(plan.sends[0]).toEqual({
      count_E: [1, 2],
      start_E: [0, 1],
      slot_TK: [1, DROPPED, 0, 2],
      numRows: 3,
    });
    expect(arrivalsAt(plan, 0).map((arrival) => arrival.entry)).toEqual([2, 0, 3]);
  });

  test('ids as the GPU gives them', () => {
    const [send] = planDispatch([Uint32Array.of(1, 0xffff_ffff, 0)], [[0, 1]]).sends;
    expect(send?.slot_TK).toEqual([1, DROPPED, 0]);
  });

  test('owners need not hold neighbours: local order is the receive order', () => {
    const plan = planDispatch(
      [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
      ],
      [
        [3, 0],
        [1, 2],
      ],
    );
    expect(arrivalsAt(plan, 0)).toEqual([
      { source: 0, entry: 3, expert: 3 },
      { source: 1, entry: 0, expert: 3 },
      { source: 0, entry: 0, expert: 0 },
      { source: 1, entry: 3, expert: 0 },
    ]);
  });
});

describe('planDispatch: refusals', () => {
  test.each([4, -1, 1.5, NaN])('id %d', (id) => {
    const plan = (): unknown => planDispatch([[0], [0, id]], TWO_RANKS);
    expect(plan).toThrow(ConfigError);
    expect(plan).toThrow(/source 1 routes entry 1 to expert \S+; ids must be in \[0, 4\), or 4294967295/);
  });

  test('sources and owners that do not fit are our mistake', () => {
    expect(() => planDispatch([[0]], TWO_RANKS)).toThrow(InvariantError);
    expect(() => planDispatch([[0]], TWO_RANKS)).toThrow(/1 sources for an EP group of 2 ranks/);
    expect(() => planDispatch([[0]], [[0, 0]])).toThrow(/owners must hold each expert once, got \[\[0,0\]\]/);
  });
});

test('expertOwners lists what the layout gives each rank', () => {
  const layout = planLayout({ ep: 2, pp: 1, tp: 2, dp: 3 }, modelWith({ numExperts: 4 }));
  expect(expertOwners(layout)).toEqual(TWO_RANKS);
});

test('isPermutation and exclusiveScan', () => {
  expect(isPermutation([2, 0, 1])).toBe(true);
  expect(isPermutation([])).toBe(true);
  expect(isPermutation([0, 0])).toBe(false);
  expect(isPermutation([0, 2])).toBe(false);
  expect(isPermutation([0.5, 1])).toBe(false);
  expect(isPermutation([NaN])).toBe(false);
  expect(exclusiveScan([1, 1, 2, 0])).toEqual([0, 1, 2, 4]);
});

test('for random ids every row travels once, sorted and stable', () => {
  const drawn = fc.integer({ min: 1, max: 4 }).chain((numRanks) =>
    fc.integer({ min: 1, max: 3 }).chain((perRank) => {
      const id = fc.integer({ min: 0, max: numRanks * perRank - 1 });
      const idOrDrop = fc.oneof({ weight: 9, arbitrary: id }, { weight: 1, arbitrary: fc.constant(DROPPED) });
      const perSource = fc.array(idOrDrop, { maxLength: 24 });
      return fc.record({
        owners: fc.constant(range(numRanks).map((r) => range(perRank).map((i) => r * perRank + i))),
        ids: fc.array(perSource, { minLength: numRanks, maxLength: numRanks }),
      });
    }),
  );
  fc.assert(
    fc.property(drawn, ({ owners, ids }) => {
      const plan = planDispatch(ids, owners);
      plan.sends.forEach((send, source) => {
        const mine = at(ids, source);
        expect(isPermutation(send.slot_TK.filter((slot) => slot !== DROPPED))).toBe(true);
        const wanted = range(mine.length)
          .filter((entry) => at(mine, entry) !== DROPPED)
          .sort((a, b) => at(mine, a) - at(mine, b) || a - b);
        expect(entryOfRow(send)).toEqual(wanted);
      });
      const arrivals = owners.flatMap((_, rank) => arrivalsAt(plan, rank));
      for (const { source, entry, expert } of arrivals) expect(at(at(ids, source), entry)).toBe(expert);
      const seen = new Set(arrivals.map(({ source, entry }) => `${source}:${entry}`));
      expect(seen.size).toBe(sum(plan.sends.map((send) => send.numRows)));
      expect(arrivals).toHaveLength(seen.size);
      plan.receives.forEach((receive) => {
        expect(sum(receive.count_L)).toBe(receive.numRows);
        const starts = receive.blocks.map((block) => block.recvStart);
        expect(starts).toEqual(exclusiveScan(receive.blocks.map((block) => block.count)));
        for (const tileRows of [1, 2, 3, 8]) {
          const tiles = tilesOf(receive, tileRows);
          // One after the other over all rows, none empty, none too long, none across two experts.
          expect(tiles.map(({ first }) => first)).toEqual(exclusiveScan(tiles.map((t) => t.end - t.first)));
          expect(sum(tiles.map((t) => t.end - t.first))).toBe(receive.numRows);
          expect(tiles.every((t) => t.end > t.first && t.end - t.first <= tileRows)).toBe(true);
          for (const [l, count] of receive.count_L.entries()) {
            const own = tiles.filter(({ localExpert }) => localExpert === l);
            expect(sum(own.map((t) => t.end - t.first))).toBe(count);
            expect(own).toHaveLength(Math.ceil(count / tileRows));
          }
        }
      });
    }),
    { numRuns: 100 },
  );
});
