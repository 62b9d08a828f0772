/** Packed curves, kriging, and what `timeOf` makes of them. */
import { expect, test } from 'vitest';
import { packed, rowsOf, unpackedLogs } from '../../src/hardware/curves/pack.ts';
import { inverted, Kriging } from '../../src/hardware/curves/kriging.ts';
import { FAMILIES, fitOf, measuredGroups } from '../../src/hardware/curves/families.ts';
import { kernelAccuracy } from '../../src/hardware/curves/accuracy.ts';
import { leaveOut } from '../../src/hardware/curves/judge.ts';
import { formulaUs, interpolated } from '../../src/hardware/curves/family.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import type { Query } from '../../src/hardware/queries.ts';
import { timeOf } from '../../src/hardware/time-of.ts';
import { hottestRank } from '../../src/hardware/skew.ts';

test('a packed time is off by 0.13 % at most, and what was not measured stays so', () => {
  const us = [0.6, 1.37, 26.5, 915.9, 92683, 4e6];
  const logs = unpackedLogs(packed([...us, NaN]));
  us.forEach((value, i) => expect(Math.abs(Math.exp(logs[i] ?? NaN) / value - 1)).toBeLessThan(0.0013));
  expect(logs[6]).toBeNaN();
});

test('the key of a row is read by column', () => {
  const table = { source: '', columns: ['system', 'n'], knots: [1, 2], rows: `h100,64 ${packed([1, 2])};` };
  expect(rowsOf(table)[0]?.key).toEqual({ system: 'h100', n: '64' });
});

test('a matrix times its inverse is one', () => {
  const inverse = inverted(Float64Array.of(4, 2, 2, 3), 2);
  // By hand: 1/8 [[3, -2], [-2, 4]].
  [0.375, -0.25, -0.25, 0.5].forEach((value, i) => expect(inverse[i]).toBeCloseTo(value, 12));
});

test('kriging gives back what was measured, halves it at a distance of ln 2, and forgets it far away', () => {
  const kriging = new Kriging([[0]], { scales: [1], nugget: 0 });
  const at = (x: number) => kriging.weightsAt([x]);
  expect(at(0).weights[0]).toBeCloseTo(1, 12);
  expect(at(0).variance).toBeCloseTo(0, 12);
  expect(at(Math.LN2).weights[0]).toBeCloseTo(0.5, 12);
  expect(at(Math.LN2).variance).toBeCloseTo(0.75, 12);
  expect(at(50).weights[0]).toBeCloseTo(0, 12);
});

test('what is told of a block that is left out is what the others say without it', () => {
  const options = { scales: [1, 2], nugget: 0.1 };
  const features = [0, 0.4, 1, 1.7, 3].map((x) => [x, x * x]);
  const values = Float64Array.of(0.3, -0.2, 0.5, 0.1, -0.4);
  const [error] = new Kriging(features, options).leaving([1, 3]).errors(values);
  const others = [0, 2, 4];
  const { weights } = new Kriging(
    others.map((i) => features[i] ?? []),
    options,
  ).weightsAt(features[1] ?? []);
  const told = others.reduce((total, row, i) => total + (weights[i] ?? 0) * (values[row] ?? 0), 0);
  expect(error).toBeCloseTo((values[1] ?? 0) - told, 10);
});

test('a curve is straight between its points and level beyond', () => {
  expect([0, 1, 1.5, 9].map((x) => interpolated([1, 2], [10, 20], x))).toEqual([10, 10, 15, 20]);
});

test('every group of measurements has a fit, and every fit a group', () => {
  for (const family of FAMILIES) {
    for (const group of measuredGroups(family).keys()) expect(fitOf(family, group), group).toBeDefined();
  }
});

test('NCCL over NVLink of a number of ranks that was left out: median 3.5 %, one in ten beyond 10 %', () => {
  const { overall } = kernelAccuracy('all_gather nccl');
  const nvlink = overall.find(({ leftOut }) => leftOut === 'a number of ranks, NVLink and nccl');
  expect(nvlink?.rows).toBe(399);
  expect(nvlink?.median).toBeLessThan(0.035);
  expect(nvlink?.p90).toBeLessThan(0.1);
});

test('without NVLink a number of ranks is told by the others, whose fit has not seen it', () => {
  const { regions } = kernelAccuracy('l40s all_gather nccl');
  const ranks = regions.find(({ leftOut }) => leftOut === 'a number of ranks, no NVLink');
  expect(ranks?.rows).toBe(63);
  // A field alone is off by 70 % at 8 ranks, where an L40S has a fifteenth of the rate that two have.
  expect(ranks?.median).toBeLessThan(0.2);
  expect(ranks?.p90).toBeLessThan(0.45);
});

test('what left-out rows are told by is fitted to the rows that were given, whoever asked before', () => {
  const family = FAMILIES.find(({ name }) => name === 'collective');
  if (family === undefined) throw new Error('no family');
  const group = 'l40s all_gather nccl';
  const rows = measuredGroups(family).get(group) ?? [];
  const parameters = fitOf(family, group)?.parameters ?? [];
  const before = leaveOut(family, group, parameters, rows);
  const slower = rows.map((row) => ({
    ...row,
    cells: row.cells.map((cell) => ({ ...cell, logUs: cell.logUs + Math.log(20) })),
  }));
  const after = leaveOut(family, group, parameters, slower);
  // A formula in proportion to its parameters misses as much of times that are all 20 times as long.
  after.forEach(({ error }, i) => expect(Math.abs(error - (before[i]?.error ?? NaN))).toBeLessThan(0.2));
});

test('what overlaps is slower by a power of what slows it', () => {
  expect(formulaUs({ plus: [1], compute: [3], memory: [4], slows: 4 }, [2, 1, 1, 0.5])).toBe(12);
  expect(formulaUs({ plus: [1], compute: [3], memory: [4] }, [2, 1, 1])).toBe(7);
});

test('products of unseen shapes: median 3 %, one in ten beyond 10 %, 75 to 90 % within their intervals', () => {
  const gemm = FAMILIES[0];
  if (gemm === undefined) throw new Error('no family');
  const off: number[] = [];
  let within = 0;
  for (const group of ['h100_sxm fp8', 'h200_sxm bfloat16']) {
    const rows = measuredGroups(gemm).get(group) ?? [];
    const fit = fitOf(gemm, group);
    if (fit === undefined) throw new Error('no fit');
    for (const { error, deviation } of leaveOut(gemm, group, fit.parameters, rows)) {
      off.push(Math.abs(Math.exp(-error) - 1));
      within += Number(error >= fit.low * deviation && error <= fit.high * deviation);
    }
  }
  off.sort((a, b) => a - b);
  expect(off[Math.floor(off.length / 2)]).toBeLessThan(0.03);
  expect(off[Math.floor(off.length * 0.9)]).toBeLessThan(0.1);
  expect(within / off.length).toBeGreaterThan(0.75);
  expect(within / off.length).toBeLessThan(0.9);
});

const h100 = hardwareNamed('h100');

test('a measured product of matrices: 4096 x 4096 x 4096 in bfloat16 on an H100', () => {
  const timing = timeOf({ op: 'gemm', m: 4096, n: 4096, k: 4096, dtype: 'bf16' }, h100);
  // 137 TFLOP take 139 us at the peak.
  expect(timing.us).toBeGreaterThan(139);
  expect(timing.us).toBeLessThan(230);
  expect(timing.low).toBeLessThan(timing.us);
  expect(timing.high).toBeGreaterThan(timing.us);
  expect(timing).toMatchObject({ region: 'gemm h100_sxm bfloat16', tag: 'modelled' });
});

test('what no measurement covers is said, and is less sure', () => {
  const query: Query = { op: 'gemm', m: 4096, n: 4096, k: 4096, dtype: 'bf16' };
  const there = timeOf(query, hardwareNamed('mi300x'));
  expect(there).toMatchObject({ tag: 'assumed' });
  expect(there.region).toMatch(/^none covers this/);
  const here = timeOf(query, h100);
  expect(there.high / there.low).toBeGreaterThan(here.high / here.low);
  expect(timeOf({ ...query, n: 200000 }, h100).region).toMatch(/beyond what was measured: n/);
});

test.each([
  [{ op: 'gemm', m: 0, n: 1, k: 1, dtype: 'bf16' }, /m is 0/],
  [{ op: 'gemm', m: NaN, n: 1, k: 1, dtype: 'bf16' }, /m is/],
  [{ op: 'moe', tokens: 1, hidden: 8, inter: 8, experts: 8, topk: 9, dtype: 'bf16' }, /topk 9 exceeds/],
  [
    { op: 'moe', tokens: 1, hidden: 8, inter: 8, experts: 8, topk: 2, ep: 3, dtype: 'bf16' },
    /does not divide/,
  ],
  [
    { op: 'moe', tokens: 1, hidden: 8, inter: 8, experts: 1e12, topk: 2, dtype: 'bf16' },
    /more than the 8192/,
  ],
  [{ op: 'all_reduce', bytes: 8, ranks: 2, nodes: 4 }, /cannot lie on 4 nodes/],
] as [Query, RegExp][])('%o is refused', (query, message) =>
  expect(() => timeOf(query, h100)).toThrow(message),
);

test('skew is the rows of the hottest rank and its active experts', () => {
  const layer = { op: 'moe', tokens: 64, hidden: 8, inter: 8, experts: 16, topk: 2, dtype: 'bf16' } as const;
  expect(hottestRank({ ...layer, ep: 4 })).toMatchObject({ rows: 32, activeExperts: 4 });
  // 8 rows of 4 ranks: each has 2, in 2 experts.
  expect(hottestRank({ ...layer, tokens: 4, ep: 4 })).toMatchObject({ rows: 2, activeExperts: 2 });
  const zipf = hottestRank({ ...layer, tokens: 1024, ep: 16, skew: { kind: 'zipf', alpha: 0.8 } });
  // Top-2 of 16 without replacement at Zipf 0.8: the hottest expert has 3.37 times the mean of 128 rows.
  expect(zipf.rows / 128).toBeGreaterThan(3.2);
  expect(zipf.rows / 128).toBeLessThan(3.55);
});

// DeepEP's README of 2025-06-05: H800, 128 tokens, 7168, top-8 of 256, fp8 out and bfloat16 back. No fit has seen it.
test.each([
  [1, 77, 114],
  [2, 118, 195],
  [4, 155, 273],
  [8, 173, 314],
  [16, 192, 369],
  [32, 194, 360],
])('a low-latency exchange of %i nodes, published apart, within 25 %%', (nodes, dispatch, combine) => {
  const h800 = hardwareNamed('h800');
  const exchange = { tokens: 128, hidden: 7168, experts: 256, topk: 8, ranks: 8 * nodes, nodes } as const;
  const mode = 'low-latency';
  const out = timeOf({ op: 'ep-dispatch', ...exchange, mode }, h800);
  const back = timeOf({ op: 'ep-combine', ...exchange, mode }, h800);
  expect(Math.abs(out.us / dispatch - 1)).toBeLessThan(0.25);
  expect(Math.abs(back.us / combine - 1)).toBeLessThan(0.25);
});
