/** Buffers, the ledger that counts them, bind groups, errors of the device, and its clock. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { MemoryLedger } from '../../src/gpu/ledger.ts';
import { prepareAdd } from '../../src/kernels/routing/rows.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openGpu(testPlatform());
});
afterEach(() => gpu.destroy());

test('the ledger holds the bytes of live buffers, by purpose', () => {
  const a = gpu.buffer('weights/a', 100);
  const b = gpu.elements('kv/b', 8, 'f16');
  expect([a.byteLength, b.byteLength]).toEqual([112, 16]);
  expect(gpu.ledger.bytes).toBe(128);
  expect(gpu.ledger.byPurpose()).toEqual({ weights: 112, kv: 16 });
  a.destroy();
  a.destroy();
  expect([gpu.ledger.bytes, gpu.ledger.count, gpu.ledger.peakBytes]).toEqual([16, 1, 128]);
});

test('the ledger refuses to remove a buffer twice', () => {
  const ledger = new MemoryLedger();
  ledger.add(1, { label: 'x', bytes: 4 });
  ledger.remove(1);
  expect(() => ledger.remove(1)).toThrow(/buffer 1 was destroyed twice/);
});

test('a buffer over the limit says both sizes and what to do', () => {
  const bytes = gpu.limits.maxStorageBufferBindingSize + 16;
  expect(() => gpu.buffer('weights/w1', bytes)).toThrow(
    /^weights\/w1 needs .*iB, but .* binds at most .*iB at once\. Use smaller/,
  );
  expect(() => gpu.buffer('x', NaN)).toThrow(ConfigError);
  expect(gpu.ledger.bytes).toBe(0);
});

test('a view stays inside of its buffer', () => {
  const buffer = gpu.buffer('x', 512);
  expect(buffer.view(256)).toMatchObject({ byteOffset: 256, byteLength: 256 });
  for (const [offset, length] of [
    [-4, 8],
    [0, 0],
    [512, 4],
    [256, 300],
  ] as const) {
    expect(() => buffer.view(offset, length)).toThrow(/is outside of buffer x of 512 bytes/);
  }
});

test('writes of any length arrive, and reads of nothing are empty', async () => {
  const buffer = gpu.upload('x', Uint16Array.of(1, 2, 3));
  expect((await gpu.read(buffer, [3], 'f16')).data).toEqual(Uint16Array.of(1, 2, 3));
  expect((await gpu.read(buffer, [0, 4])).data).toHaveLength(0);
});

test('a step that repeats creates no bind group, and a destroyed buffer takes its groups along', async () => {
  const add = await prepareAdd(gpu);
  const [a, b, y] = ['a', 'b', 'y'].map((name) => gpu.elements(name, 8));
  if (!a || !b || !y) throw new Error('no buffers');
  const step = (): void => {
    const commands = gpu.commands('step');
    add.record(commands, 8, { a, b, y });
    add.record(commands, 8, { a: b, b: a, y });
    commands.submit();
  };
  step();
  step();
  expect(gpu.bindGroups.size).toBe(2);
  await gpu.sync();
  b.destroy();
  expect(gpu.bindGroups.size).toBe(0);
});

test('an error of the device surfaces in the next sync, once', async () => {
  gpu.device.createBuffer({ size: 16, usage: 0xffff0000 });
  await expect(gpu.sync()).rejects.toThrow(/^The adapter reported: /);
  await expect(gpu.sync()).resolves.toBeUndefined();
});

test('reads and syncs count as host syncs; recording does not', async () => {
  const x = gpu.elements('x', 4);
  const commands = gpu.commands('clear');
  commands.clear(x);
  commands.submit();
  expect(gpu.hostSyncs).toBe(0);
  await gpu.read(x, [4]);
  await gpu.sync();
  expect(gpu.hostSyncs).toBe(2);
});

test('spans have times that go forward, one pass each', async (context) => {
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const add = await prepareAdd(gpu);
  const [a, b, y] = ['a', 'b', 'y'].map((name) => gpu.elements(name, 4096));
  if (!a || !b || !y) throw new Error('no buffers');
  // Anything will do for a tag, and only the same one goes on with a span.
  const tags = [{ name: 'same' }, { name: 'same' }];
  const record = async (timing: 'span' | 'dispatch' | 'none') => {
    const commands = gpu.commands('timed', timing);
    for (const [i, tag] of tags.entries()) {
      commands.span(tag);
      add.record(commands, 4096, { a, b, y });
      if (i === 0) commands.part('second half');
      add.record(commands, 4096, { a: y, b, y: a });
    }
    return commands.submit().spans();
  };
  const spans = await record('span');
  expect(spans.map(({ tag, kernel }) => [tag, kernel])).toEqual([
    [tags[0], undefined],
    [tags[1], undefined],
  ]);
  for (const { beginNs, endNs, ns } of spans) {
    expect(endNs).toBeGreaterThanOrEqual(beginNs);
    expect(ns).toBe(Number(endNs - beginNs));
  }
  expect(spans[1]?.beginNs).toBeGreaterThanOrEqual(spans[0]?.endNs ?? 0n);
  const dispatches = await record('dispatch');
  expect(dispatches.map(({ part }) => part)).toEqual([undefined, 'second half', undefined, undefined]);
  expect(dispatches.map(({ tag }) => tags.findIndex((other) => other === tag))).toEqual([0, 0, 1, 1]);
  expect(new Set(dispatches.map(({ kernel }) => kernel))).toEqual(new Set(['elementwise/add.wgsl']));
  expect(await record('none')).toEqual([]);
});
