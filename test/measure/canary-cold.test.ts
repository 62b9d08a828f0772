/** The canary between rows, cold inputs, compile times, and rows of what was tuned. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCanary, type Canary } from '../../src/measure/canary.ts';
import { copiesFor, inCopies, lastLevelCache } from '../../src/measure/cold.ts';
import { timeKernels } from '../../src/bench/kernels/suite.ts';
import { chooseClock, type BenchClock } from '../../src/measure/stopwatch.ts';
import { sampleInTurn } from '../../src/measure/sampling.ts';
import { timedCheck } from '../../src/bench/kernels/timed-check.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { subjectCase } from '../../src/validate/draw/subject.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
let clock: BenchClock;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  clock = await chooseClock(gpu);
});
afterAll(() => gpu.destroy());

/** Time enough for the least rounds on any machine. */
const options = {
  get clock() {
    return clock;
  },
  budgetNs: 60e9,
  chosenOnly: true,
};
const product = subjectCase({ op: 'matmul', dims: { M: 16, N: 64, K: 32 } });

/** A canary that sings what it is told, and the last of it for ever. */
const singing = (...readings: number[]): Canary => {
  let next = 0;
  return {
    read: () => Promise.resolve(readings[Math.min(next++, readings.length - 1)]),
    destroy: () => undefined,
  };
};

test('the canary reads the time of a run, and frees what it had', async () => {
  const canary = await openCanary(gpu, clock);
  if (canary === undefined) throw new Error('no canary');
  expect(await canary.read()).toBeGreaterThan(0);
  canary.destroy();
  expect(gpu.ledger.bytes).toBe(0);
});

test('a row beside a drift in half of its rounds says so', async () => {
  const time = async (canary: Canary) => timeKernels(gpu, [product], { ...options, canary });
  const steady = await time(singing(100));
  expect(steady.rows[0]?.drift).toBeUndefined();
  expect(steady.canary).toMatchObject({ spread: 0, driftLimit: 0.15 });
  const wild = await time(singing(...Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? 200 : 100))));
  expect(wild.rows[0]?.drift).toMatchObject({ marked: true, worst: 1 });
  expect(wild.rounds.count).toBeGreaterThanOrEqual(3);
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
  const {
    rows: [row],
  } = await timeKernels(gpu, [product], {
    ...options,
    cold: { bytes: 1000, source: 'assumed', note: '' },
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
  const {
    rows: [row],
  } = await timeKernels(fresh, [product], options);
  expect(row).toMatchObject({ compileNs: first.compileNs, choice: 'default', chosen: true });
  if (row?.timing.state !== 'measured') throw new Error('no time');
  expect(row.timing.warmUp?.runs).toBeGreaterThanOrEqual(2);
  fresh.destroy();
});

test('the tuned variant has the mark of its row, and the default keeps its own', async () => {
  let last: string | undefined;
  gpu.tuning = { choose: ({ able }) => (last = able.at(-1)?.name) };
  const { rows } = await timeKernels(gpu, [product], { ...options, chosenOnly: false });
  gpu.tuning = undefined;
  expect(
    rows.filter(({ choice }) => choice === 'tuned').map(({ variant, chosen }) => [variant, chosen]),
  ).toEqual([[last, true]]);
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
    choose: ({ family, able }) => (family === 'moe' && asked++ % 2 === 0 ? able.at(-1)?.name : undefined),
  };
  const { rows } = await timeKernels(gpu, [layer], options);
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
