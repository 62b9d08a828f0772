/** The roofline by hand: peak 100 GFLOP/s; 80 GB/s within 16 KiB, 20 GB/s within 4 MiB, 10 GB/s beyond. */
import { describe, expect, test } from 'vitest';
import { anyAboveRoof, ceilingFailures, holdToRoof } from '../../src/bench/ceilings/above-roof.ts';
import { bestOf, type Ceilings, type MeasuredCeiling } from '../../src/bench/ceilings/ceilings.ts';
import type { KernelTiming } from '../../src/bench/kernels/suite.ts';
import type { ProbeName } from '../../src/measure/probes/probe.ts';
import { bandwidthFor, isAboveRoof, rooflineShare } from '../../src/bench/ceilings/roofline.ts';
import { renderCeilings, roofText } from '../../src/report/terminal/ceilings.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;

function ceiling(name: ProbeName, value: number, footprintBytes?: number): MeasuredCeiling {
  const what = footprintBytes === undefined ? { name } : { name, footprintBytes };
  const unit = name === 'f32 multiply-add' ? 'FLOP/s' : 'B/s';
  return { ...what, state: 'measured', value, unit, samples: [value], clock: 'gpu' };
}

const ceilings: Ceilings = [
  ceiling('f32 multiply-add', 100e9),
  ceiling('storage read', 80e9, 16 * KIB),
  ceiling('storage read', 20e9, 4 * MIB),
  ceiling('storage read', 10e9, 64 * MIB),
];

function row(flops: number, bytes: number, samplesNs: number[]): KernelTiming {
  return {
    ...{ family: 'matmul', name: 'x', variant: 'row', chosen: true, flops, bytes, flopsPerSecond: 1 },
    timing: { state: 'measured', clock: 'gpu', samplesNs, repeats: 1 },
  };
}

describe('bandwidthFor', () => {
  test.each([
    ['less than the smallest working set', KIB, 80e9],
    ['between two: the smaller one counts', MIB, 80e9],
    ['exactly one', 4 * MIB, 20e9],
    ['more than the largest', 1e12, 10e9],
  ])('%s', (_what, bytes, wanted) => {
    expect(bandwidthFor(ceilings, bytes)).toBe(wanted);
  });

  test('a copy that is faster than reading lifts the roof of its working set and of smaller ones', () => {
    const copies = [...ceilings, ceiling('storage copy', 30e9, 64 * MIB)];
    expect(bandwidthFor(copies, 100 * MIB)).toBe(30e9);
    expect(bandwidthFor(copies, 5 * MIB)).toBe(30e9);
    expect(bandwidthFor(copies, KIB)).toBe(80e9);
  });

  test('is unknown without a read probe', () => {
    expect(bandwidthFor([ceiling('storage copy', 1e9, MIB)], 1)).toBeUndefined();
  });
});

describe('rooflineShare', () => {
  test('compute binds: 1 GFLOP at 100 GFLOP/s is 10 ms, 8 MB at 20 GB/s is 0.4 ms', () => {
    const roof = rooflineShare(ceilings, { flops: 1e9, bytes: 8e6 }, 20e6);
    expect(roof?.binds).toBe('compute');
    expect(roof?.attainableNs).toBeCloseTo(10e6);
    expect(roof?.share).toBeCloseTo(0.5);
  });

  test('bandwidth binds: 1 MFLOP is 10 us, 100 MB at 10 GB/s is 10 ms', () => {
    const roof = rooflineShare(ceilings, { flops: 1e6, bytes: 1e8 }, 40e6);
    expect(roof?.binds).toBe('bandwidth');
    expect(roof?.attainableNs).toBeCloseTo(10e6);
    expect(roof?.share).toBeCloseTo(0.25);
  });

  test('the ceiling is the best of its samples', () => {
    const peak = { ...ceiling('f32 multiply-add', 100e9), samples: [50e9, 100e9, 70e9] };
    const [, read] = ceilings;
    if (read === undefined) throw new Error('no read');
    const slower = { ...read, samples: [1e9, 80e9] };
    const roof = rooflineShare([peak, slower], { flops: 1e9, bytes: 8e6 }, 20e6);
    expect(roof?.share).toBeCloseTo(0.5);
    expect(bandwidthFor([peak, slower], 1)).toBe(80e9);
  });

  test('is the minimum of peak and intensity x bandwidth', () => {
    // 2 FLOP a byte at 20 GB/s attain 40 GFLOP/s, so 80 MFLOP take 2 ms.
    expect(rooflineShare(ceilings, { flops: 80e6, bytes: 40e6 }, 2e6)?.share).toBeCloseTo(1);
  });

  test('is unknown without a peak, without bandwidth, and without a time', () => {
    const cost = { flops: 1, bytes: 1 };
    expect(rooflineShare(ceilings.slice(1), cost, 1)).toBeUndefined();
    expect(rooflineShare(ceilings.slice(0, 1), cost, 1)).toBeUndefined();
    expect(rooflineShare(ceilings, cost, 0)).toBeUndefined();
  });
});

describe('a row above the roof', () => {
  test.each([
    ['at the roof', 1, 0, false],
    ['within the tolerance', 1.09, 0.02, false],
    ['beyond it', 1.11, 0.02, true],
    ['within its own spread', 1.25, 0.3, false],
    ['that is not a number', NaN, 0, true],
  ])('%s', (_what, share, spread, above) => {
    expect(isAboveRoof({ share, binds: 'compute', attainableNs: 1 }, spread)).toBe(above);
  });

  test('is an error and keeps no rate; others get their share', () => {
    // 1 GFLOP needs 10 ms: 5 ms is a share of 2, 20 ms of 0.5.
    const rows = [row(1e9, 8e6, [5e6, 5e6, 5e6]), row(1e9, 8e6, [20e6, 20e6, 20e6])];
    const [above, below] = holdToRoof(rows, ceilings);
    expect(above?.timing).toMatchObject({ state: 'failed' });
    expect(above?.timing).toMatchObject({
      reason: expect.stringMatching(
        /^above the roofline: it took 5\.00 ms, but 1\.00 GFLOP at 100 GFLOP\/s take 10\.0 ms \(200 %/,
      ) as string,
    });
    expect(above).not.toHaveProperty('flopsPerSecond');
    expect(below?.roof?.share).toBeCloseTo(0.5);
    expect(anyAboveRoof(rows, ceilings)).toBe(true);
    expect(anyAboveRoof(rows.slice(1), ceilings)).toBe(false);
  });

  test('is fine once a second look at the ceilings finds them higher', () => {
    const rows = [row(1e9, 8e6, [5e6, 5e6, 5e6])];
    const again = bestOf([...ceilings, ceiling('f32 multiply-add', 300e9)]);
    expect(again).toHaveLength(ceilings.length);
    expect(anyAboveRoof(rows, again)).toBe(false);
  });
});

describe('bestOf', () => {
  test('takes the highest of each working set, and no value beside a wrong result', () => {
    const wrong = { name: 'storage read', footprintBytes: MIB, state: 'failed', reason: 'r' } as const;
    expect(bestOf([ceiling('storage read', 1, KIB), ceiling('storage read', 2, KIB)])).toEqual([
      ceiling('storage read', 2, KIB),
    ]);
    const joined = bestOf([ceiling('storage read', 9, MIB), wrong]);
    expect(joined).toEqual([wrong]);
    expect(ceilingFailures(joined)).toEqual(['probe storage read, 1.00 MiB: r']);
  });
});

test('a row says its share and what binds', () => {
  const text = (share: number): string => roofText({ share, binds: 'compute', attainableNs: 1 });
  expect([text(0.123), text(0.001), text(0)]).toEqual(['12% c', '<1% c', '0% c']);
  expect(roofText({ share: 1, binds: 'bandwidth', attainableNs: 1 })).toBe('100% b');
  expect(roofText(undefined)).toBe('');
});

test('the table fits 80 columns and tells what is absent or wrong', () => {
  const lines = renderCeilings([
    ...ceilings,
    { name: 'f16 multiply-add', state: 'absent', reason: 'no shader-f16' },
    {
      name: 'subgroup broadcast',
      state: 'failed',
      reason: `element 3 is 0, not 12 ${'and so on '.repeat(9)}`,
    },
  ]);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines.join('\n')).toMatch(/f16 multiply-add +none +no shader-f16/);
  expect(lines.join('\n')).toMatch(/subgroup broadcast +failed/);
});
