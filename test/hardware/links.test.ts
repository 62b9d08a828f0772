/** Collectives against values worked out by hand. */
import { describe, expect, test } from 'vitest';
import {
  algbw,
  busbw,
  expectedLag,
  link,
  twoSegmentLink,
  withStraggler,
} from '../../src/hardware/links/rate.ts';
import { bottleneck, leaving, pairwiseUs, trafficOf } from '../../src/hardware/links/routed.ts';
import { SCHEDULES, stepsUs, twoTierAllReduce } from '../../src/hardware/links/schedules.ts';

const { all_reduce, all_gather, reduce_scatter, alltoall } = SCHEDULES;

describe('steps and bytes of 8 ranks and 800 bytes', () => {
  test.each([
    ['ring all-reduce', all_reduce.ring(800, 8), 14, 1400],
    ['recursive doubling', all_reduce['recursive-doubling'](800, 8), 3, 2400],
    ['halving and doubling', all_reduce['halving-doubling'](800, 8), 6, 1400],
    ['one shot', all_reduce['one-shot'](800, 8), 1, 5600],
    ['two shots', all_reduce['two-shot'](800, 8), 2, 1400],
    ['ring all-gather', all_gather.ring(800, 8), 7, 700],
    ['recursive all-gather', all_gather['recursive-doubling'](800, 8), 3, 700],
    ['ring reduce-scatter', reduce_scatter.ring(800, 8), 7, 700],
    ['pairwise all-to-all', alltoall.pairwise(800, 8), 7, 700],
    // n / 2 log2 p.
    ['Bruck', alltoall.bruck(800, 8), 3, 1200],
    // Distances 1 to 5 are 1, 10, 11, 100, 101: 7 bits.
    ['Bruck of 6 ranks', alltoall.bruck(600, 6), 3, 700],
  ])('%s', (_name, { steps, bytes }, s, b) => {
    expect(steps).toBe(s);
    expect(bytes).toBeCloseTo(b, 9);
  });
});

test.each([
  ['ring bytes', (p: number) => all_reduce.ring(1, p).bytes, 1 / 3],
  ['ring steps', (p: number) => all_reduce.ring(1, p).steps, 2 / 3],
  ['halving and doubling steps', (p: number) => all_reduce['halving-doubling'](1, p).steps, 1 / 2],
  ['recursive doubling', (p: number) => all_reduce['recursive-doubling'](1, p).bytes, 1 / 2],
  ['one shot', (p: number) => all_reduce['one-shot'](1, p).bytes, 2 / 3],
])('TP=2 saves of TP=4 by %s', (_name, of, saved) => expect(1 - of(2) / of(4)).toBeCloseTo(saved, 12));

test('one rank sends nothing', () => {
  for (const algorithms of Object.values(SCHEDULES)) {
    for (const schedule of Object.values(algorithms))
      expect(schedule(100, 1)).toEqual({ steps: 0, bytes: 0 });
  }
});

test('a power of two is asked for where one is needed', () => {
  expect(() => all_reduce['recursive-doubling'](8, 6)).toThrow(/power of two ranks, not 6/);
});

test('two segments: a message takes the latency and the rate of its size', () => {
  const two = twoSegmentLink({ alphaUs: 2, gbPerS: 10 }, { alphaUs: 6, gbPerS: 100 }, 1000);
  expect(two.us(1000)).toBeCloseTo(2.1, 12);
  expect(two.us(100_000)).toBeCloseTo(7, 12);
  // 14 steps of 100 bytes.
  expect(stepsUs(all_reduce.ring(800, 8), two)).toBeCloseTo(14 * 2.01, 9);
});

test('two tiers: 16 ranks on nodes of 8', () => {
  const { near, far } = twoTierAllReduce(800, 16, 8);
  expect(near).toEqual({ steps: 14, bytes: 1400 });
  expect(far).toEqual({ steps: 2, bytes: 100 });
});

test('algbw and busbw of nccl-tests: 1e9 bytes in 10 ms on 8 ranks', () => {
  expect(algbw(1e9, 1e4)).toBeCloseTo(100, 9);
  expect(busbw('all_reduce', 1e9, 1e4, 8)).toBeCloseTo(175, 9);
  expect(busbw('alltoall', 1e9, 1e4, 8)).toBeCloseTo(87.5, 9);
});

test('the last of many: exponential by harmonic numbers, normal by the expected largest', () => {
  expect(expectedLag({ kind: 'exponential', meanUs: 6 }, 3)).toBeCloseTo(6 * (1 / 2 + 1 / 3), 12);
  // Known: 1 / sqrt(pi) of two, 1.42360 of eight.
  expect(expectedLag({ kind: 'normal', deviationUs: 1 }, 2)).toBeCloseTo(1 / Math.sqrt(Math.PI), 4);
  expect(expectedLag({ kind: 'normal', deviationUs: 10 }, 8)).toBeCloseTo(14.236, 2);
  expect(expectedLag({ kind: 'normal', deviationUs: 1 }, 1)).toBe(0);
  expect(withStraggler(10, 0.5)).toBe(20);
});

describe('four ranks on two nodes, an expert each', () => {
  const placement = { experts: 4, ranks: 4, ranksPerNode: 2 };
  // Rank 0 has two tokens, of experts 2 and 3 and of 0 and 2; rank 1 one, of 2 and 3.
  const traffic = trafficOf(
    [
      [
        [2, 3],
        [0, 2],
      ],
      [[2, 3]],
      [],
      [],
    ],
    placement,
  );

  test('rows, copies, and one copy per node', () => {
    expect(traffic.rows).toEqual([
      [1, 0, 2, 1],
      [0, 0, 1, 1],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    expect(traffic.perNode).toEqual([
      [1, 2],
      [0, 1],
      [0, 0],
      [0, 0],
    ]);
    expect(leaving(traffic, placement)).toEqual({ rank: 5 / 6, node: 5 / 6, nodeCopies: 3 / 6 });
  });

  test('the busiest rank: three rows leave rank 0, three reach rank 2', () => {
    expect(bottleneck(traffic.rows)).toBe(3);
  });

  test('pairwise: steps 1 to 3 have 1, 2 and 1 rows at most', () => {
    const one = link({ alphaUs: 10, gbPerS: 1 });
    expect(
      pairwiseUs(
        traffic.rows.map((row) => row.map((n) => n * 1000)),
        () => one,
      ),
    ).toBeCloseTo(34, 9);
  });
});

test('uniform choices of 16 experts on 16 ranks: 93.75 % of rows leave', () => {
  const pairs = Array.from({ length: 16 }, (_, a) => Array.from({ length: 16 }, (_, b) => [a, b]));
  const all = pairs.flat().filter(([a, b]) => a !== b);
  const placement = { experts: 16, ranks: 16, ranksPerNode: 8 };
  const { rank, node, nodeCopies } = leaving(
    trafficOf(
      Array.from({ length: 16 }, () => all),
      placement,
    ),
    placement,
  );
  expect(rank).toBeCloseTo(15 / 16, 12);
  expect(node).toBeCloseTo(1 / 2, 12);
  // 76.7 % of tokens need the other node once: of two rows each, 38.3 %.
  expect(nodeCopies).toBeCloseTo((1 - (8 * 7) / (16 * 15)) / 2, 12);
});
