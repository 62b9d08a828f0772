/** Probes on lanes that are no whole workgroups: nothing is written for lanes that are not there. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import {
  broadcastProbe,
  chaseProbe,
  copyProbe,
  fmaHalfProbe,
  fmaProbe,
  readProbe,
  workgroupProbe,
} from '../../src/kernels/probes.ts';
import { testPlatform } from '../setup/gpu.ts';

const WG = 64;
/** In the last workgroup: 6 of 64. */
const LANES = WG + 6;
/** Of two workgroups that copy four vectors a lane. */
const WORDS = 2 * 4 * 4 * WG;
const MARK = 0xdeadbeef;

let gpu: Gpu;
let x: GpuBuffer;
let y: GpuBuffer;
let place: GpuBuffer;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  [x, y, place] = ['x', 'y', 'place'].map((name) => gpu.elements(name, WORDS, 'u32')) as [
    ...[GpuBuffer, GpuBuffer, GpuBuffer],
  ];
});
afterAll(() => gpu.destroy());

/** Where the marks begin that are left in a buffer, and whether there are none before. */
async function written(buffer: GpuBuffer): Promise<readonly [end: number, isWhole: boolean]> {
  const { data } = await gpu.read(buffer, [WORDS], 'u32');
  const end = data.findLastIndex((word) => word !== MARK) + 1;
  return [end, !data.subarray(0, end).includes(MARK)];
}

const factors = { two: 2, one: 1, half: 0.5 };
const lanes = LANES;

const PROBES = {
  fma: [4, async () => [await gpu.kernel(fmaProbe), { lanes, steps: 8, ...factors }, { y }]],
  'fma in f16': [4, async () => [await gpu.kernel(fmaHalfProbe), { lanes, steps: 8, ...factors }, { y }]],
  read: [4, async () => [await gpu.kernel(readProbe), { lanes, loads: 4, mask: 4 * WG - 1 }, { x, y }]],
  chase: [1, async () => [await gpu.kernel(chaseProbe), { lanes, loads: 4, mask: 63 }, { next: x, y }]],
  workgroup: [4, async () => [await gpu.kernel(workgroupProbe), { lanes, loads: 4 }, { y }]],
  broadcast: [4, async () => [await gpu.kernel(broadcastProbe), { lanes, rounds: 1 }, { y, place }]],
} as const;

test.each(Object.entries(PROBES))('%s', async (name, [words, prepare]) => {
  if (name === 'broadcast' && !gpu.has('subgroups')) return;
  if (name === 'fma in f16' && !gpu.has('shader-f16')) return;
  for (const buffer of [y, place]) gpu.write(buffer, new Uint32Array(WORDS).fill(MARK));
  const [kernel, params, buffers] = await prepare();
  const commands = gpu.commands(name);
  commands.dispatch(kernel as never, params as never, buffers as never);
  commands.submit();
  expect(await written(y)).toEqual([words * LANES, true]);
  if (name === 'broadcast') expect((await written(place))[0]).toBe(LANES);
});

test('copy: workgroups beyond the last vector', async () => {
  gpu.write(y, new Uint32Array(WORDS).fill(MARK));
  gpu.write(x, new Uint32Array(WORDS).fill(7));
  const kernel = await gpu.kernel(copyProbe);
  const commands = gpu.commands('copy');
  commands.dispatch(kernel, { count: 4 * WG, perLane: 4 }, { x, y }, [2, 1, 1]);
  commands.submit();
  expect(await written(y)).toEqual([WORDS / 2, true]);
});
