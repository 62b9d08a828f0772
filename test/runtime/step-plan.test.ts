/** The plan of a step in integers: dealing, cutting, tables. */
import { describe, expect, test } from 'vitest';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { defaultMicroBatches, rankSizes, worthwhileMicroBatches } from '../../src/memory/rank-sizes.ts';
import { busyRun, groupTables, logitRows, planStep, rankLoads } from '../../src/runtime/step/plan.ts';
import { ownRows, rowsPerOffset, sharedRows } from '../../src/runtime/step/row-places.ts';

const layout = planLayout(parseLayout('ep=4,pp=2,tp=2,dp=1'), presetNamed('tiny-moe').config);
const sizes = rankSizes(layout, { maxSequences: 6, maxLength: 32, maxTokens: 8 });
const threeTokens = [0, 1, 2, 3].map((sequence) => ({ sequence, ids: [7, 8, 9] }));

describe('planStep', () => {
  test('the example in its comment', () => {
    const batches = planStep(sizes, threeTokens, () => 0, 2);
    expect(batches.map((groups) => groups.map((g) => g.sequences.map((s) => s.request)))).toEqual([
      [[0], [1]],
      [[2], [3]],
    ]);
  });

  test('closes a micro-batch where the next sequence would not fit', () => {
    const long = [0, 2, 4].map((sequence) => ({ sequence, ids: [1, 2, 3, 4, 5] }));
    const batches = planStep(sizes, long, () => 0, 1);
    expect(batches.map((groups) => groups.map((g) => g.numTokens))).toEqual([
      [5, 0],
      [5, 0],
      [5, 0],
    ]);
  });

  test('a token of the past shifts positions, slots follow the sequence', () => {
    const [groups] = planStep(sizes, [{ sequence: 3, ids: [4, 5] }], () => 10, 1);
    const tables = groups?.map((g) => groupTables(g, 32));
    expect(tables).toEqual([
      { ids: [], place: [], sequences: [] },
      { ids: [4, 5], place: [10, 42, 11, 43], sequences: [0, 2, 12, 1] },
    ]);
  });
});

test('every sequence of a group has a slot of its own', () => {
  const all = [0, 1, 2, 3, 4, 5].map((sequence) => ({ sequence, ids: [1] }));
  const [batch] = planStep(sizes, all, () => 0, 1);
  expect(batch?.map((g) => g.sequences.map(({ slot }) => slot))).toEqual([
    [0, 1, 2],
    [0, 1, 2],
  ]);
});

test('every token of a group is the share of exactly one of its TP members', () => {
  const [batch] = planStep(sizes, threeTokens, () => 0, 1);
  expect(rankLoads(layout, sizes, batch ?? []).map((l) => [l.group, l.tp, l.share])).toEqual([
    [0, 0, { first: 0, count: 3 }],
    [0, 1, { first: 3, count: 3 }],
    [1, 0, { first: 0, count: 3 }],
    [1, 1, { first: 3, count: 3 }],
  ]);
});

test('logits of the last tokens are one row per sequence', () => {
  const [batch] = planStep(sizes, threeTokens, () => 0, 1);
  expect(batch?.map((g) => logitRows(g, 'last'))).toEqual([
    [2, 5],
    [2, 5],
  ]);
});

describe('micro-batches', () => {
  test.each([
    [4, 512, 4],
    [4, 400, 3],
    [4, 256, 2],
    [4, 32, 1],
    [1, 4096, 1],
  ])('of %i prepared, %i tokens are worth %i', (prepared, tokens, worth) => {
    expect(worthwhileMicroBatches(prepared, tokens)).toBe(worth);
  });

  test('one per stage where they divide the sequences', () => {
    expect([1, 2, 3, 8].map((slots) => defaultMicroBatches(layout, slots))).toEqual([1, 2, 1, 2]);
  });
});

describe('ranks whose experts lie in one stack', () => {
  const limits = { maxSequences: 6, maxLength: 32, maxTokens: 8 };
  const { modelDim, expertDim } = layout.model;
  // 16 experts on 4 ranks.
  const stack = (owners: number): number => 4 * 4 * owners * modelDim * expertDim;

  test.each([
    [stack(4), 4],
    [stack(4) - 4, 2],
    [stack(2), 2],
    [stack(2) - 4, 1],
    [1, 1],
  ])('with %i bytes to bind: %i', (bindableBytes, owners) => {
    expect(rankSizes(layout, limits, { bindableBytes }).owners).toBe(owners);
  });

  test('int8 counts the scales of both products', () => {
    // A scale per row: as many as the wider of the two has.
    const bytes = 16 * modelDim * expertDim + 4 * 16 * Math.max(modelDim, expertDim);
    const owners = [bytes, bytes - 4].map(
      (bindableBytes) => rankSizes(layout, limits, { weightDtype: 'int8', bindableBytes }).owners,
    );
    expect(owners).toEqual([4, 2]);
  });

  test('int4: as many as leave values that shaders can number, whatever can be bound', () => {
    const owners = (expertDim: number): number => {
      const wide = { ...layout, model: { ...layout.model, modelDim: 2 ** 14, expertDim } };
      return rankSizes(wide, limits, { weightDtype: 'int4', bindableBytes: 2 ** 32 }).owners;
    };
    // 16 experts of 2^28 values are 2^32, in 2.5 GiB.
    expect([owners(2 ** 14 - 32), owners(2 ** 14), owners(2 ** 15)]).toEqual([4, 2, 1]);
    expect(() => owners(2 ** 16)).toThrow(/one rank's experts \[4, 65536, 16384\] has 4294967296 values/);
  });

  test('as many as asked for, in divisors of EP', () => {
    expect([1, 2, 3, 9].map((mostOwners) => rankSizes(layout, limits, { mostOwners }).owners)).toEqual([
      1, 2, 2, 4,
    ]);
    expect(() => rankSizes(layout, limits, { mostOwners: 0 })).toThrow(/mostOwners is 0/);
  });

  test('parts are whole rows apart where a row is no multiple of 256 bytes', () => {
    const odd = { ...layout, model: { ...layout.model, modelDim: 24 } };
    // 4 ranks of 4 tokens, each for two of the rank's four experts: 32 rows of 24 f32, 12 times 256 bytes.
    expect(rankSizes(odd, limits).receiveRows).toBe(32);
    expect(rankSizes(odd, { ...limits, maxTokens: 6 }).receiveRows).toBe(24);
    expect(rankSizes(odd, { ...limits, maxTokens: 2 }).receiveRows).toBe(8);
    const prime = { ...layout, model: { ...layout.model, modelDim: 3 } };
    expect(rankSizes(prime, { ...limits, maxTokens: 2 }).receiveRows).toBe(64);
  });
});

test('refuses limits that are no sizes', () => {
  expect(() => rankSizes(layout, { maxSequences: 0, maxLength: 8, maxTokens: 8 })).toThrow(
    /maxSequences is 0/,
  );
});

test.each([
  [[0, 3, 0, 1, 0], 1, 3],
  [[2], 0, 1],
  [[0, 0], 0, 0],
  [[], 0, 0],
])('busyRun(%j) starts at %i and has %i', (counts, first, count) => {
  expect(busyRun(counts)).toEqual({ first, count });
});

const one = (tp: number): { tp: number; numRows: number } => ({ tp, numRows: 1 });

test('ranks of a TP member lie behind each other, each member by itself', () => {
  const { places, products } = sharedRows([one(0), one(1), one(0), { tp: 1, numRows: 3 }], 8, 1);
  expect(places).toEqual([
    { holder: 0, firstRow: 0, numRows: 1 },
    { holder: 1, firstRow: 0, numRows: 1 },
    { holder: 0, firstRow: 1, numRows: 1 },
    { holder: 1, firstRow: 1, numRows: 3 },
  ]);
  expect(products).toEqual([
    { holder: 0, numRows: 2, ranks: [0, 2] },
    { holder: 1, numRows: 4, ranks: [1, 3] },
  ]);
});

test('what does not fit begins anew with its own rank, which the next ones join', () => {
  expect(
    sharedRows([one(0), one(0), one(0), one(0)], 2, 1).places.map(({ holder, firstRow }) => [
      holder,
      firstRow,
    ]),
  ).toEqual([
    [0, 0],
    [0, 1],
    [2, 0],
    [2, 1],
  ]);
});

test('a rank without rows opens nothing, and rows begin where a binding may', () => {
  const wanted = [{ tp: 0, numRows: 0 }, one(0), one(0), { tp: 0, numRows: 2 }];
  const { places, products } = sharedRows(wanted, 4, 2);
  expect(places).toEqual([
    { holder: 0, firstRow: 0, numRows: 0 },
    { holder: 1, firstRow: 0, numRows: 1 },
    { holder: 1, firstRow: 2, numRows: 1 },
    { holder: 3, firstRow: 0, numRows: 2 },
  ]);
  // The row between the two places counts.
  expect(products).toEqual([
    { holder: 1, numRows: 3, ranks: [1, 2] },
    { holder: 3, numRows: 2, ranks: [3] },
  ]);
  expect(ownRows(wanted).products).toEqual([
    { holder: 1, numRows: 1, ranks: [1] },
    { holder: 2, numRows: 1, ranks: [2] },
    { holder: 3, numRows: 2, ranks: [3] },
  ]);
});

test('rows per offset: 128 bytes need two for a multiple of 256, 1024 one, 96 eight', () => {
  expect([128, 1024, 96].map((bytes) => rowsPerOffset([bytes], 256))).toEqual([2, 1, 8]);
});
