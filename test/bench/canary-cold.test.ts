/** The canary between rows, cold inputs, compile times, and rows of what was tuned. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isDrift, openCanary, type Canary } from '../../src/bench/canary.ts';
import { copiesFor, inCopies, lastLevelCache } from '../../src/bench/cold.ts';
import { timeKernels } from '../../src/bench/kernel-suite.ts';
import { chooseClock, type BenchClock } from '../../src/bench/measure.ts';
import { sampleInTurn } from '../../src/bench/sampling.ts';
import { timedCheck } from '../../src/bench/timed-check.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { subjectCase } from '../../src/validate/subject.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
let clock: BenchClock;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  clock = await chooseClock(gpu);
});
afterAll(() => gpu.destroy());

const product = subjectCase({ op: 'matmul', dims: { M: 16, N: 64, K: 32 } });

/** A canary that sings what it is told. */
const singing = (...drifts: number[]): Canary => ({
  read: () => Promise.resolve(drifts.shift() ?? 0),
  report: () => ({ what: '', baselineNs: 1, limit: 0.15, samplesNs: [] }),
  destroy: () => undefined,
});

test('the canary reads near its first readings', async () => {
  const canary = await openCanary(gpu, clock);
  if (canary === undefined) throw new Error('no canary');
  expect(Math.abs(await canary.read())).toBeLessThan(5);
  expect(canary.report().samplesNs).toHaveLength(1);
  canary.destroy();
  expect(gpu.ledger.bytes).toBe(0);
});

test('NaN is a drift too', () => {
  expect([isDrift(0, 0.1), isDrift(0, 0.2), isDrift(-0.2, 0), isDrift(NaN, 0)]).toEqual([
    false,
    true,
    true,
    true,
  ]);
});

test('a row beside a drift is measured again once and says so', async () => {
  const time = async (canary: Canary) =>
    (await timeKernels(gpu, [product], { clock, budgetNs: 5e9, chosenOnly: true, canary }))[0];
  expect((await time(singing(0, 0)))?.drift).toBeUndefined();
  expect((await time(singing(0, 0.5, 0)))?.drift).toEqual({ before: 0.5, after: 0, again: true });
  expect((await time(singing(0, 0.5, 0.6)))?.drift).toEqual({ before: 0.5, after: 0.6, again: true });
});

test('without time left a drifting row is not measured again', async () => {
  const [row] = await timeKernels(gpu, [product], {
    clock,
    budgetNs: 3e8,
    chosenOnly: true,
    canary: singing(0, 1),
  });
  expect(row?.drift).toEqual({ before: 0, after: 1, again: false });
});

test('cold inputs are as many copies as pass through five caches', async () => {
  const cache = { bytes: 8 * 2 ** 20, source: 'assumed', note: '' } as const;
  expect(copiesFor(2 ** 20, cache)).toEqual({ copies: 41, bytes: 41 * 2 ** 20, enough: true });
  expect(copiesFor(2 ** 40, cache)).toMatchObject({ copies: 1, enough: false });
  expect((await lastLevelCache(gpu)).bytes).toBeGreaterThan(0);
});

test('copies take turns, and all are freed', async () => {
  const used: number[] = [];
  let made = 0;
  const one = await inCopies(3, async () => {
    const id = made++;
    return { ...(await product.prepare(gpu)), record: () => void used.push(id) };
  });
  for (let i = 0; i < 5; i++) one.record(gpu.commands('never submitted'));
  expect(used).toEqual([0, 1, 2, 0, 1]);
  const [row] = await timeKernels(gpu, [product], {
    ...{ clock, budgetNs: 1e9, chosenOnly: true, cold: { bytes: 1000, source: 'assumed', note: '' } },
  });
  expect(row?.cold?.copies).toBeGreaterThan(1);
  expect(row?.timing.state).toBe('measured');
});

test('compiling and first use are told apart from the samples', async () => {
  const fresh = await openGpu(testPlatform());
  const first = await timedCheck(fresh, product);
  expect(first.compileNs).toBeGreaterThan(0);
  const again = await timedCheck(fresh, product);
  expect([again.compileNs, again.firstUseNs]).toEqual([first.compileNs, first.firstUseNs]);
  const [row] = await timeKernels(fresh, [product], { clock, budgetNs: 1e9, chosenOnly: true });
  expect(row).toMatchObject({ compileNs: first.compileNs, choice: 'default', chosen: true });
  if (row?.timing.state !== 'measured') throw new Error('no time');
  expect(row.timing.warmUp?.runs).toBeGreaterThanOrEqual(2);
  fresh.destroy();
});

test('the tuned variant has the mark of its row, and the default keeps its own', async () => {
  gpu.tuning = { choose: ({ able }) => able.at(-1)?.name };
  const rows = await timeKernels(gpu, [product], { clock, budgetNs: 3e9 });
  gpu.tuning = undefined;
  expect(
    rows.filter(({ choice }) => choice === 'tuned').map(({ variant, chosen }) => [variant, chosen]),
  ).toEqual([[rows.at(-1)?.variant, true]]);
  expect(rows.filter(({ choice }) => choice === 'default').map(({ chosen }) => chosen)).toEqual([false]);
});

test('what no single name stands for has a row of its own', async () => {
  const layer = subjectCase({
    op: 'moe',
    dims: { T: 40, D: 16, E: 3, F: 32 },
    attrs: { k: 1 },
    with: ['logits', 'w3'],
  });
  let asked = 0;
  gpu.tuning = {
    choose: ({ family, able }) => (family === 'experts' && asked++ % 2 === 0 ? able.at(-1)?.name : undefined),
  };
  const rows = await timeKernels(gpu, [layer], { clock, budgetNs: 3e9, chosenOnly: true });
  gpu.tuning = undefined;
  expect(rows.map(({ variant, choice, chosen }) => [variant === 'mixed', choice, chosen])).toEqual([
    [false, 'default', false],
    [true, 'tuned', true],
  ]);
});

test('windows in turn go forth and back, and a void one costs all its round', async () => {
  const order: string[] = [];
  let time = 0;
  const watch = (name: string, isVoid = false) => ({
    ...({ clock: 'gpu', grainNs: 1 } as const),
    now: () => time,
    window: () => {
      order.push(name);
      time += 1e6;
      return Promise.resolve(isVoid && order.length % 5 === 0 ? undefined : 1e6);
    },
  });
  const timings = await sampleInTurn([watch('a'), watch('b', true)], { minSamples: 4, maxSamples: 4 });
  expect(order.slice(4, 12)).toEqual(['a', 'b', 'b', 'a', 'a', 'b', 'b', 'a']);
  expect(timings.map((t) => (t.state === 'measured' ? t.samplesNs.length : 0))).toEqual([4, 4]);
});
