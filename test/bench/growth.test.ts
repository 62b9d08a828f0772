/** Exponents of growth: how they are fitted, on which sizes, and that an unexpected one fails. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fitPower, fittedSizes, measureGrowth } from '../../src/bench/growth.ts';
import { GROWTH_SERIES, type GrowthSeries } from '../../src/bench/growth-series.ts';
import { chooseClock, type BenchClock } from '../../src/bench/measure.ts';
import { growth } from '../../src/cli/growth.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { renderGrowth } from '../../src/report/growth.ts';
import { subjectCase } from '../../src/validate/subject.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
let clock: BenchClock;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  clock = await chooseClock(gpu);
});
afterAll(() => gpu.destroy());

test('a power law is found exactly', () => {
  const sizes = [1, 4, 16, 64];
  const fit = fitPower(
    sizes,
    sizes.map((size) => 3 * size ** 1.5),
  );
  expect(fit.exponent).toBeCloseTo(1.5);
  expect(fit.rSquared).toBeCloseTo(1);
});

describe('the sizes of a fit', () => {
  const points = [1, 4, 16, 64, 256, 1024, 4096, 16384].map((size) => ({ size, leastNs: 100 + 10 * size }));

  test('rise above the launch, and are the largest', () => {
    expect(fittedSizes({ expected: 1 }, points).sizes).toEqual([64, 256, 1024, 4096, 16384]);
    expect(fittedSizes({ expected: 1 }, points.slice(0, 5)).sizes).toEqual([64, 256]);
  });

  test('of a flat series are those where it is to be flat', () => {
    expect(fittedSizes({ expected: 0, upTo: 16 }, points).sizes).toEqual([1, 4, 16]);
  });
});

const decode: GrowthSeries = {
  ...{
    name: 'decode',
    variable: 'KV',
    what: 'keys',
    sizes: [64, 1024, 2048, 4096, 8192],
    expected: 1,
    tolerance: 0.5,
  },
  subject: (Skv) => ({ op: 'attention', dims: { B: 1, Sq: 1, Skv, Hq: 4, Hkv: 4, Dh: 32 } }),
};

test('decode grows with the keys, and an exponent that is not expected fails', async () => {
  const [right, wrong] = await measureGrowth(gpu, [decode, { ...decode, expected: 3 }], clock, 1e9);
  expect(right).toMatchObject({ verdict: 'as expected' });
  expect(wrong).toMatchObject({ verdict: 'unexpected' });
  expect(wrong?.reason).toMatch(/^exponent .* of KV, expected 3 \+- 0\.5, over /);
  const lines = renderGrowth([right, wrong].flatMap((one) => (one === undefined ? [] : [one])));
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(gpu.ledger.bytes).toBe(0);
});

test('a series that stays in the launch says that it cannot tell', async () => {
  const [flat] = await measureGrowth(gpu, [{ ...decode, sizes: [1, 2, 3] }], clock, 1e8);
  expect(flat).toMatchObject({ verdict: 'unfit' });
  expect(flat?.fit).toBeUndefined();
});

test('every series describes cases that the ops take', () => {
  for (const { sizes, subject } of GROWTH_SERIES) {
    expect(() => subjectCase(subject(sizes[0] ?? 1)).cost()).not.toThrow();
  }
});

test('refuses a series that is not there', async () => {
  expect(() => growth({ series: ['routin g'] })).toThrow(/no series "routin g"\. There is: grouped GEMM/);
  await Promise.resolve();
});
