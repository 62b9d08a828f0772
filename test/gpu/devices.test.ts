/** Devices come and go: nothing of them stays, every wait ends, and what a list held is free again. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { DeviceError } from '../../src/core/errors.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { prepareAdd } from '../../src/kernels/routing/rows.ts';
import { testPlatform } from '../setup/gpu.ts';

const opened: Gpu[] = [];
afterEach(() => opened.splice(0).forEach((gpu) => gpu.destroy()));

async function open(): Promise<Gpu> {
  const gpu = await openGpu(testPlatform());
  opened.push(gpu);
  return gpu;
}

async function used(): Promise<Gpu> {
  const gpu = await open();
  const add = await prepareAdd(gpu);
  const [a, y] = [gpu.upload('a', Float32Array.of(1, 2, 3, 4)), gpu.elements('y', 4)];
  const commands = gpu.commands('sum');
  add.record(commands, 4, { a, b: a, y });
  commands.submit();
  expect([...(await gpu.read(y, [4])).data]).toEqual([2, 4, 6, 8]);
  return gpu;
}

async function comesAndGoes(): Promise<void> {
  (await used()).destroy();
  opened.length = 0;
}

test.runIf(process.platform === 'linux')('96 devices, one after the other, leave no threads', async () => {
  const threads = (): number =>
    Number(/^Threads:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  await comesAndGoes();
  const before = threads();
  let most = 0;
  for (let i = 0; i < 96; i++) {
    await comesAndGoes();
    most = Math.max(most, threads());
  }
  // The collector is asked once for 16 devices; without it there is a thread for each.
  expect(most - before).toBeLessThan(48);
});

test('a wait that is under way when the device goes ends with the reason', async () => {
  const closed = await used();
  const waits = [closed.sync(), closed.read(closed.elements('x', 4), [4])];
  closed.destroy();
  for (const end of await Promise.allSettled(waits)) {
    expect(end).toMatchObject({ status: 'rejected', reason: expect.any(DeviceError) as DeviceError });
    expect(String((end as PromiseRejectedResult).reason)).toMatch(/The device of .* was closed\. Open/);
  }
  const lost = await used();
  const read = lost.read(lost.elements('x', 4), [4]);
  lost.device.destroy();
  await expect(read).rejects.toThrow(/The device of .* was lost: .+\. Open the adapter again\./);
  await expect(lost.sync()).rejects.toThrow(/was lost/);
  await expect(prepareAdd(lost)).rejects.toThrow(/was lost/);
  expect(() => lost.commands('x')).toThrow(/was lost/);
});

test('an error that made a mapping fail is told in its place', async () => {
  const gpu = await open();
  const x = gpu.elements('x', 4);
  x.handle.destroy();
  await expect(gpu.read(x, [4])).rejects.toThrow(/^The adapter reported: .*destroyed/s);
  await expect(gpu.sync()).resolves.toBeUndefined();
  expect(gpu.ledger.heldByPurpose()).toEqual({});
});

test('times of passes are held until they are read, dropped, or fail', async (context) => {
  const gpu = await open();
  if (!gpu.has('timestamp-query')) context.skip('this adapter has no timestamps');
  const add = await prepareAdd(gpu);
  const [a, y] = [gpu.elements('a', 4), gpu.elements('y', 4)];
  const recorded = () => {
    const commands = gpu.commands('timed', 'span');
    commands.span('one');
    add.record(commands, 4, { a, b: a, y });
    return commands;
  };
  const held = (): string[] => Object.keys(gpu.ledger.heldByPurpose()).sort();
  const list = recorded();
  expect(held()).toEqual(['params', 'query-sets']);
  const submitted = list.submit();
  expect(held()).toEqual(['params', 'query-sets', 'staging']);
  const [once, twice] = await Promise.all([submitted.spans(), submitted.spans()]);
  expect([once.length, twice]).toEqual([1, once]);
  // The one set of queries stays for lists to come.
  const sets = gpu.ledger.heldByPurpose()['query-sets'];
  expect(held()).toEqual(['params', 'query-sets']);
  recorded().submit().discard();
  expect(held()).toEqual(['params', 'query-sets']);
  recorded().discard();
  expect(held()).toEqual(['params', 'query-sets']);
  const failing = recorded().submit();
  gpu.device.createBuffer({ size: 16, usage: 0xffff0000 });
  await expect(failing.spans()).rejects.toThrow(/^The adapter reported: /);
  expect(held()).toEqual(['params', 'query-sets']);
  expect(gpu.ledger.heldByPurpose()['query-sets']).toBe(sets);
  const cut = recorded().submit();
  gpu.device.destroy();
  await expect(cut.spans()).rejects.toThrow(/was lost/);
  expect(held()).toEqual(['params']);
});

test('a list that is dropped gives its parameters and times back', async () => {
  const gpu = await open();
  const add = await prepareAdd(gpu);
  const [a, y] = [gpu.elements('a', 4), gpu.elements('y', 4)];
  const record = (end: 'submit' | 'discard' | 'drop'): void => {
    const commands = gpu.commands('list', 'span');
    add.record(commands, 4, { a, b: a, y });
    if (end === 'submit') commands.submit().discard();
    if (end === 'discard') commands.discard();
  };
  record('submit');
  const one = gpu.ledger.heldByPurpose();
  for (let i = 0; i < 5; i++) {
    record('discard');
    record('submit');
  }
  expect(gpu.ledger.heldByPurpose()).toEqual(one);
  // More than one set of queries and one chunk of parameters hold.
  for (let i = 0; i < 150; i++) record('drop');
  expect(gpu.ledger.heldByPurpose()).not.toEqual(one);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 20 && gpu.ledger.heldByPurpose()['query-sets'] !== one['query-sets']; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(gpu.ledger.heldByPurpose()['query-sets']).toBe(one['query-sets']);
  const most = gpu.ledger.heldByPurpose().params;
  for (let i = 0; i < 20; i++) record('submit');
  expect(gpu.ledger.heldByPurpose().params).toBe(most);
});
