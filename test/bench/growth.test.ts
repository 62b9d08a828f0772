/** Exponents of growth: how they are fitted, on which sizes, and that an unexpected one fails. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  fitPower,
  fittedSizes,
  judgeGrowth,
  measureGrowth,
  type GrowthResult,
} from '../../src/bench/model/growth.ts';
import { GROWTH_SERIES, type GrowthSeries } from '../../src/bench/model/growth-series.ts';
import { chooseClock, type BenchClock } from '../../src/measure/stopwatch.ts';
import type { Timing } from '../../src/measure/timing.ts';
import { growth, requireGrowth } from '../../src/cli/verbs/growth.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { renderGrowth } from '../../src/report/terminal/growth.ts';
import { subjectCase } from '../../src/validate/draw/subject.ts';
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

/** Times that a machine of our own would take. */
const timesOf = (series: GrowthSeries, nsOf: (size: number) => number): Timing[] =>
  series.sizes.map((size) => ({
    ...({ state: 'measured', clock: 'gpu', repeats: 1 } as const),
    // The least counts: other work only adds.
    samplesNs: [1.8 * nsOf(size), nsOf(size), 3 * nsOf(size)],
  }));

describe('an exponent', () => {
  const linear = timesOf(decode, (size) => 1000 + 100 * size);

  test('is what was expected or is not', () => {
    expect(judgeGrowth(decode, linear)).toMatchObject({ verdict: 'as expected' });
    const wrong = judgeGrowth({ ...decode, expected: 3 }, linear);
    expect(wrong).toMatchObject({ verdict: 'unexpected' });
    expect(wrong.reason).toMatch(/^exponent 1\.\d+ of KV, expected 3 \+- 0\.5, over 1024, 2048, 4096, 8192$/);
    expect(
      judgeGrowth(
        decode,
        timesOf(decode, (size) => size ** 2),
      ),
    ).toMatchObject({ verdict: 'unexpected' });
    expect(
      judgeGrowth(
        decode,
        timesOf(decode, (size) => size ** 1.49),
      ),
    ).toMatchObject({ verdict: 'as expected' });
    expect(
      judgeGrowth(
        decode,
        timesOf(decode, (size) => size ** 0.49),
      ),
    ).toMatchObject({ verdict: 'unexpected' });
    expect(
      judgeGrowth(
        decode,
        timesOf(decode, () => NaN),
      ).verdict,
    ).not.toBe('as expected');
  });

  test('of a series that stays in the launch cannot be told', () => {
    const flat = judgeGrowth(
      decode,
      timesOf(decode, () => 1000),
    );
    expect(flat).toMatchObject({ verdict: 'unfit' });
    expect(flat.fit).toBeUndefined();
  });

  test('rests on what was measured only', () => {
    const failed: Timing = { state: 'failed', reason: 'lost' };
    expect(
      judgeGrowth(
        decode,
        decode.sizes.map(() => failed),
      ),
    ).toMatchObject({ verdict: 'unfit' });
  });

  test('that is unexpected, or a check that failed, ends in an error; what cannot be told does not', () => {
    const of = (verdict: GrowthResult['verdict']): GrowthResult => ({
      ...{ name: 'decode', variable: 'KV', what: 'keys', expected: 1, tolerance: 0.5, rule: '' },
      ...{ points: [], verdict, reason: 'why' },
    });
    expect(() => requireGrowth([of('as expected'), of('unfit')])).not.toThrow();
    expect(() => requireGrowth([of('as expected'), of('unexpected')])).toThrow('decode: why');
    expect(() => requireGrowth([of('failed')])).toThrow('decode: why');
  });
});

test('a series is checked and measured on this adapter, and all is freed', async () => {
  const found = await measureGrowth(gpu, [{ ...decode, sizes: [64, 128, 256] }], clock, 1e8);
  expect(found[0]?.points.map(({ timing }) => timing.state)).toEqual(['measured', 'measured', 'measured']);
  expect(renderGrowth(found).filter((line) => line.length > 80)).toEqual([]);
  expect(gpu.ledger.bytes).toBe(0);
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
