/** Bind groups are kept while they are used, and not without end. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { BindGroupCache } from '../../src/gpu/bind-groups.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { fmaProbe } from '../../src/kernels/probes.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

test('those that are used stay as long as they are, others are dropped', async () => {
  const { compiled } = await gpu.kernel(fmaProbe, {});
  const cache = new BindGroupCache(gpu.device, 4);
  const buffers = range(40).map((i) => gpu.buffer(`test/${i}`, 256));
  const groupOf = (i: number) => cache.get(compiled, [(buffers[i] ?? expect.fail()).view(0)]);
  const kept = groupOf(0);
  for (const i of range(40)) {
    groupOf(i);
    expect(groupOf(0)).toBe(kept);
    expect(cache.size).toBeLessThanOrEqual(8);
  }
  // The last four and the one in use at least; the first ones are made anew.
  const size = cache.size;
  expect(groupOf(39)).toBe(groupOf(39));
  expect(cache.size).toBe(size);
  groupOf(1);
  expect(cache.size).not.toBe(size);
  for (const buffer of buffers) cache.forget(buffer.id);
  expect(cache.size).toBe(0);
  for (const buffer of buffers) buffer.destroy();
});
