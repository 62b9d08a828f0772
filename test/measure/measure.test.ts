/** Measuring on a real adapter: what is right gets a time, what is wrong gets none. */
import { beforeAll, describe, expect, test } from 'vitest';
import { measureClockStep } from '../../src/measure/clock.ts';
import { examineAdapter } from '../../src/bench/examine.ts';
import { checkKernels } from '../../src/bench/kernels/check.ts';
import { timeKernels } from '../../src/bench/kernels/suite.ts';
import { chooseClock, measureKernel, type BenchClock } from '../../src/measure/stopwatch.ts';
import { logitsError } from '../../src/bench/model/check.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { casesOf } from '../../src/validate/cases.ts';
import type { KernelCase } from '../../src/validate/kernel-case.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
let clock: BenchClock;
const rope = casesOf('rope').find(({ name }) => name === 'halves');
if (rope === undefined) throw new Error('the case is gone');

beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  clock = await chooseClock(gpu);
  return () => gpu.destroy();
});

test('the clock of this adapter moves in whole steps', async () => {
  const step = await measureClockStep(gpu);
  expect(step?.stepNs).toBeGreaterThan(0);
  expect(clock).toMatchObject({ clock: 'gpu', grainNs: step?.stepNs });
});

test('an examination has every number a report shows', async () => {
  const found = await examineAdapter(gpu);
  expect(found.facts.name).toBe(gpu.facts.name);
  expect(found.readbackNs.median).toBeGreaterThan(0);
  expect(found.dispatchFloorNs.count).toBeGreaterThan(5);
  expect(found.indirectFloorNs.count).toBeGreaterThan(5);
  expect(Object.values(found.limits).every((limit) => limit > 0)).toBe(true);
});

describe.each(['gpu', 'host'] as const)('on the %s clock', (which) => {
  test('a kernel gets several samples', async () => {
    const prepared = await rope.prepare(gpu);
    const own: BenchClock = which === 'gpu' ? clock : { clock: 'host', grainNs: 1000, note: '' };
    const timing = await measureKernel(gpu, (commands) => prepared.record(commands), own, { budgetNs: 50e6 });
    prepared.destroy();
    if (timing.state !== 'measured') throw new Error(timing.state);
    expect(timing.clock).toBe(which);
    expect(timing.samplesNs.length).toBeGreaterThanOrEqual(5);
    expect(Math.min(...timing.samplesNs)).toBeGreaterThan(0);
  });
});

/** The case with its truth moved, so that every kernel fails it. */
function broken(kernelCase: KernelCase): KernelCase {
  const reference = (): ReturnType<KernelCase['reference']> =>
    new Map(
      [...kernelCase.reference()].map(([name, e]) => [
        name,
        { ...e, values: e.values.map((value) => value + 1) },
      ]),
    );
  return { ...kernelCase, name: 'broken', reference };
}

test('a kernel whose check failed is reported and never timed', async () => {
  const originNs = gpu.platform.now();
  const options = { clock, budgetNs: 60e9, originNs };
  const { rows: timings, rounds } = await timeKernels(gpu, [broken(rope), rope], options);
  // Rounds name rows as the result has them, and count from the origin.
  expect(new Set(rounds.order?.flat())).toEqual(new Set([1]));
  const ends = (rounds.times ?? []).flatMap(({ beginNs, endNs }) => [beginNs, endNs]);
  expect(ends.length).toBeGreaterThan(0);
  expect(Math.min(...ends)).toBeGreaterThan(0);
  expect(Math.max(...ends)).toBeLessThan(gpu.platform.now() - originNs);
  expect(timings.map(({ name, timing }) => [name, timing.state])).toEqual([
    ['broken', 'failed'],
    ['halves', 'measured'],
  ]);
  expect(timings[0]?.flopsPerSecond).toBeUndefined();
  const [family] = (await checkKernels(gpu, [broken(rope), rope])).families;
  expect(family).toMatchObject({ family: 'rope', cases: 2, runs: 2, failed: 1 });
  expect(family?.failures[0]).toMatchObject({ name: 'broken', variant: 'default' });
  expect(family?.failures[0]?.message).toMatch(/^y: .* over budget/);
});

test('a variant that failed any check before is not timed on a case that it passes', async () => {
  const { families: checked } = await checkKernels(gpu, [broken(rope)]);
  const { rows } = await timeKernels(gpu, [rope], { clock, checked, budgetNs: 60e9 });
  expect(rows[0]?.timing).toMatchObject({ state: 'failed' });
});

test('what does not fit into the time is skipped and says so', async () => {
  const { rows } = await timeKernels(gpu, [rope], { clock, budgetNs: 0 });
  expect(rows[0]?.timing).toEqual({ state: 'skipped', reason: 'no time left' });
});

describe('logitsError', () => {
  test('is a share of the largest logit', () => {
    expect(logitsError([1, 2.02, -4], [1, 2, -4])).toBeCloseTo(0.005);
  });

  test('is infinite for NaN and for a wrong length', () => {
    expect(logitsError([NaN, 1], [0, 1])).toBe(Infinity);
    expect(logitsError([1], [0, 1])).toBe(Infinity);
  });
});
