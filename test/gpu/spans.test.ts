/** Times of passes: each at its own place, however many there are. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { MemoryLedger } from '../../src/gpu/ledger.ts';
import { QueryPool } from '../../src/gpu/query-pool.ts';
import { SpanTimer } from '../../src/gpu/span-timer.ts';
import { prepareAdd } from '../../src/kernels/routing/rows.ts';
import { at, range } from '../../src/core/math.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openGpu(testPlatform());
});
afterEach(() => gpu.destroy());

test('5,000 passes: every one has its label and a time after the one before', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const add = await prepareAdd(gpu);
  const [a, b, y] = ['a', 'b', 'y'].map((name) => gpu.elements(name, 4));
  if (!a || !b || !y) throw new Error('no buffers');
  const commands = gpu.commands('many', 'span');
  for (const i of range(5000)) {
    commands.span(`pass ${i}`);
    add.record(commands, 4, { a, b, y });
  }
  const spans = await commands.submit().spans();
  expect(spans.map(({ tag }) => tag)).toEqual(range(5000).map((i) => `pass ${i}`));
  const outOfOrder = range(4999).filter((i) => !(at(spans, i + 1).beginNs >= at(spans, i).endNs));
  expect(outOfOrder).toEqual([]);
  expect(at(spans, 0).beginNs).toBeGreaterThan(0n);
  expect(spans.filter(({ ns, beginNs, endNs }) => ns !== Number(endNs - beginNs))).toEqual([]);
});

/** A device whose clock reads what it is told: one reading for each begin and end. */
function deviceThatReads(readings: readonly bigint[]): { device: GPUDevice; encoder: GPUCommandEncoder } {
  let sets = 0;
  const memory = new BigUint64Array(3 * 4096);
  const buffer = {
    mapAsync: () => Promise.resolve(),
    getMappedRange: () => memory.buffer,
    destroy: () => undefined,
  };
  const device = {
    createQuerySet: () => ({ set: sets++, destroy: () => undefined }),
    createBuffer: () => buffer,
  };
  const encoder = {
    resolveQuerySet: (
      { set }: { set: number },
      first: number,
      count: number,
      _to: unknown,
      offset: number,
    ) => {
      const from = 4096 * set + first;
      memory.set(readings.slice(from, from + count), offset / 8);
    },
    copyBufferToBuffer: () => undefined,
  };
  return { device: device as unknown as GPUDevice, encoder: encoder as unknown as GPUCommandEncoder };
}

async function timesOf(readings: readonly bigint[], passes: number): Promise<(number | undefined)[]> {
  const { device, encoder } = deviceThatReads(readings);
  const ledger = new MemoryLedger();
  const state = { wait: <T>(_what: string, work: Promise<T>) => work, throwPending: () => undefined };
  const queries = new QueryPool(device, ledger);
  const timer = new SpanTimer({ device, state, ledger, queries });
  const slots = range(passes).map((i) => timer.begin({ tag: i, part: undefined, kernel: undefined }));
  for (const [i, { beginningOfPassWriteIndex: begin, endOfPassWriteIndex: end }] of slots.entries()) {
    expect([begin, end]).toEqual([2 * (i % 2048), 2 * (i % 2048) + 1]);
  }
  timer.resolve(encoder);
  const times = (await timer.read()).map(({ ns }) => ns);
  // One set stays for lists to come.
  expect(ledger.heldByPurpose()['query-sets']).toBe(passes === 0 ? undefined : 32768);
  queries.destroy();
  expect(ledger.heldByPurpose()).toEqual({});
  return times;
}

test('a pass during which the clock went backwards has no time', async () => {
  expect(await timesOf([10n, 30n, 50n, 40n, 60n, 60n], 3)).toEqual([20, undefined, 0]);
  expect(await timesOf([], 0)).toEqual([]);
});

test('passes of a second and a third set of queries are read from their own places', async () => {
  const passes = 4100;
  const readings = range(passes).flatMap((i) => [1000n * BigInt(i), 1000n * BigInt(i) + BigInt(i)]);
  expect(await timesOf(readings, passes)).toEqual(range(passes));
});

test('lists that are open at once share one set, and a block that is free again is taken first', () => {
  const ledger = new MemoryLedger();
  const { device } = deviceThatReads([]);
  const pool = new QueryPool(device, ledger);
  const held = (): number | undefined => ledger.heldByPurpose()['query-sets'];
  const blocks = range(128).map(() => pool.take());
  expect(blocks.map(({ first }) => first)).toEqual(range(128).map((i) => 32 * i));
  expect(new Set(blocks.map(({ set }) => set)).size).toBe(1);
  expect(held()).toBe(32768);
  const further = pool.take();
  expect(further.set).not.toBe(at(blocks, 0).set);
  expect(held()).toBe(2 * 32768);
  further.release();
  further.release();
  expect(held()).toBe(32768);
  at(blocks, 7).release();
  at(blocks, 7).release();
  expect(pool.take()).toMatchObject({ set: at(blocks, 0).set, first: 7 * 32 });
  // What was released twice is no two blocks: the next one is of a further set.
  expect(pool.take().set).not.toBe(at(blocks, 0).set);
  pool.destroy();
  expect(held()).toBeUndefined();
  // Of a device that has gone meanwhile.
  at(blocks, 9).release();
  pool.destroy();
  expect(held()).toBeUndefined();
});
