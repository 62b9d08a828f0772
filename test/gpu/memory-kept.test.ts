/** What the device's host side keeps and frees: chunks of parameters, staging buffers, bind groups, the peak. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Gpu } from '../../src/gpu/gpu.ts';
import { defineKernel } from '../../src/gpu/kernel.ts';
import { MemoryLedger } from '../../src/gpu/ledger.ts';
import { gpuWith } from './support.ts';

const lengths = defineKernel({
  shader: 'lengths.wgsl',
  spec: {},
  params: { add: 'i32' },
  buffers: { x: 'read', y: 'write' },
  grid: () => [1, 1, 1],
});
/** How many words of x it can see, the first of them, and its parameter. */
const LENGTHS = `
struct Params { add : i32 }
@group(0) @binding(0) var<storage, read> x : array<u32>;
@group(0) @binding(1) var<storage, read_write> y : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;
@compute @workgroup_size(1) fn main() {
  y[0] = arrayLength(&x);
  y[1] = x[0];
  y[2] = bitcast<u32>(params.add);
}`;

let gpu: Gpu;
beforeEach(async () => {
  gpu = await gpuWith({ 'lengths.wgsl': LENGTHS });
});
afterEach(() => {
  vi.restoreAllMocks();
  gpu.destroy();
});

test('views of one buffer are told apart by where they begin and by how long they are', async () => {
  const kernel = await gpu.kernel(lengths);
  const step = gpu.limits.minStorageBufferOffsetAlignment;
  const x = gpu.buffer('x', 4 * step);
  gpu.write(
    x,
    Uint32Array.from({ length: step }, (_, i) => i),
  );
  const y = gpu.elements('y', 4);
  for (const [offset, bytes] of [
    [0, 16],
    [0, step],
    [step, step],
    [step, 64],
  ] as const) {
    const commands = gpu.commands('view');
    commands.dispatch(kernel, { add: -3 }, { x: x.view(offset, bytes), y });
    commands.submit();
    const { data } = await gpu.read(y, [3], 'i32');
    expect([...data]).toEqual([bytes / 4, offset / 4, -3]);
  }
  expect(gpu.bindGroups.size).toBe(4);
});

test('chunks of parameters are used again: lists one after the other need one, lists side by side need their own', async () => {
  const created = vi.spyOn(gpu.device, 'createBuffer');
  const chunks = (): number => created.mock.calls.filter(([{ label }]) => label === 'params').length;
  const kernel = await gpu.kernel(lengths);
  const [x, y] = [gpu.elements('x', 4), gpu.elements('y', 4)];
  const record = (add: number) => {
    const commands = gpu.commands('list');
    commands.dispatch(kernel, { add }, { x, y });
    return commands;
  };
  for (let i = 0; i < 20; i++) record(i).submit();
  expect(chunks()).toBe(1);
  const [a, b] = [record(7), record(8)];
  expect(chunks()).toBe(2);
  b.submit();
  a.submit();
  expect((await gpu.read(y, [3], 'i32')).data[2]).toBe(7);
});

test('a list longer than two chunks, again and again, keeps its parameters apart and takes no more memory', async () => {
  const created = vi.spyOn(gpu.device, 'createBuffer');
  const kernel = await gpu.kernel(lengths);
  const x = gpu.elements('x', 4);
  const ys = Array.from({ length: 520 }, (_, i) => gpu.elements(`y ${i}`, 4));
  for (let round = 0; round < 3; round++) {
    const commands = gpu.commands('long');
    ys.forEach((y, i) => commands.dispatch(kernel, { add: 1000 * round + i }, { x, y }));
    commands.submit();
    for (const i of [0, 255, 256, 511, 512, 519]) {
      const y = ys[i];
      if (y !== undefined) expect((await gpu.read(y, [3], 'i32')).data[2]).toBe(1000 * round + i);
    }
  }
  expect(created.mock.calls.filter(([{ label }]) => label === 'params')).toHaveLength(3);
});

test('reading back frees what it read through, also when it fails', async () => {
  const x = gpu.elements('x', 4);
  const made = vi.spyOn(gpu.device, 'createBuffer');
  await gpu.read(x, [4]);
  gpu.device.createBuffer({ size: 16, usage: 0xffff0000 });
  await expect(gpu.read(x, [4])).rejects.toThrow(/^The adapter reported: /);
  await expect(gpu.read(x, [4])).resolves.toMatchObject({ shape: [4] });
  // A destroyed buffer cannot be mapped any more.
  const staging = made.mock.results
    .map(({ value }) => value as GPUBuffer)
    .filter(({ usage }) => (usage & GPUBufferUsage.MAP_READ) !== 0 && usage < 0x10000);
  expect(staging).toHaveLength(3);
  for (const buffer of staging) {
    await expect(buffer.mapAsync(GPUMapMode.READ)).rejects.toThrow();
  }
  await expect(gpu.sync()).rejects.toThrow(/destroyed/);
});

test('the peak of memory stays when less is alive', () => {
  const ledger = new MemoryLedger();
  ledger.add(1, { label: 'weights/a', bytes: 100 });
  ledger.add(2, { label: 'kv/b', bytes: 20 });
  ledger.remove(1);
  ledger.add(3, { label: 'kv/c', bytes: 30 });
  expect([ledger.bytes, ledger.peakBytes, ledger.count]).toEqual([50, 120, 2]);
  expect(ledger.byPurpose()).toEqual({ kv: 50 });
});
