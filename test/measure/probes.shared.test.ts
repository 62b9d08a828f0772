/** Every probe does what it is timed for, and one that does less is found out. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { measureCeilings, probesFor, runProbe } from '../../src/bench/ceilings/ceilings.ts';
import { chooseClock, type BenchClock } from '../../src/measure/stopwatch.ts';
import { chainValue } from '../../src/measure/probes/arithmetic.ts';
import {
  firstDifference,
  probeScale,
  PROBE_UNITS,
  type ProbeName,
  type ProbeScale,
} from '../../src/measure/probes/probe.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import {
  broadcastProbe,
  chaseProbe,
  copyProbe,
  fmaProbe,
  readProbe,
  workgroupProbe,
} from '../../src/kernels/probes.ts';
import { gpuWith } from '../gpu/support.ts';
import { testPlatform } from '../setup/gpu.ts';

const KIB = 2 ** 10;
let gpu: Gpu;
let clock: BenchClock;
let small: ProbeScale;

beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  clock = await chooseClock(gpu);
  small = {
    ...{ lanes: 256, width: 64, rowWidth: gpu.rowLanes, fmaSteps: 64, perLane: 16, readBytes: 256 * KIB },
    ...{ loads: 64, chainLoads: 256, footprints: [16 * KIB, 256 * KIB] },
  };
});
afterAll(() => gpu.destroy());

test('a chain of 4 steps adds 2', () => {
  expect(chainValue(3, 4)).toBe(5);
});

test('the first difference is named, also when few elements are looked at, and the last always is', () => {
  expect(firstDifference([1, 2, 4], (i) => i + 1)).toBe('element 2 is 4, not 3');
  expect(firstDifference([0, 0, 0, 0, 9], () => 0, 3)).toBe('element 4 is 9, not 0');
  expect(firstDifference([0, NaN], () => 0)).toBe('element 1 is NaN, not 0');
  expect(firstDifference([0, 0, 0], () => 0, 7)).toBeUndefined();
});

test('every probe is right on this adapter, or says which feature is missing', async () => {
  const ceilings = await measureCeilings(gpu, { clock, budgetNs: 0, scale: small });
  expect(ceilings.filter(({ state }) => state === 'failed')).toEqual([]);
  expect(new Set(ceilings.map(({ name }) => name))).toEqual(new Set(Object.keys(PROBE_UNITS)));
  for (const ceiling of ceilings) {
    if (ceiling.state === 'measured') {
      expect(ceiling.unit).toBe(PROBE_UNITS[ceiling.name]);
      expect(ceiling.value).toBe(Math.max(...ceiling.samples));
      expect(ceiling.value).toBeGreaterThan(0);
    } else if (ceiling.state === 'absent') expect(ceiling.reason).toMatch(/^no |too coarse/);
  }
  expect(gpu.ledger.bytes).toBe(0);
});

test('working sets fit what the adapter binds', () => {
  const { footprints } = probeScale(gpu);
  expect(footprints.length).toBeGreaterThan(2);
  expect(Math.max(...footprints)).toBeLessThanOrEqual(gpu.limits.maxStorageBufferBindingSize);
});

/** A probe, the fault worked into its shader, and what it would make of the number. */
const saboteurs: [string, ProbeName, { readonly shader: string }, find: string, replace: string][] = [
  ['half of the steps', 'f32 multiply-add', fmaProbe, 'i += 8u', 'i += 16u'],
  ['a chain left out', 'f32 multiply-add', fmaProbe, 'd = mulAdd(d, half, half);', ''],
  ['sums without products', 'f32 multiply-add', fmaProbe, 's * factor + term', 's + term'],
  ['half of the lanes', 'f32 multiply-add', fmaProbe, 'gid.x >= params.lanes', 'gid.x >= params.lanes / 2u'],
  ['the same four again', 'storage read', readProbe, 'at += 4u * WG;', ''],
  ['a load left out', 'storage read', readProbe, 's3 += x3;', ''],
  [
    'a smaller working set',
    'storage read',
    readProbe,
    'let mask = params.mask;',
    'let mask = params.mask / 2u;',
  ],
  ['a store left out', 'storage copy', copyProbe, 'y[at + 3u * WG] = x3;', ''],
  ['a shorter chain', 'loads of one lane', chaseProbe, 'i += 4u', 'i += 8u'],
  ['the same slots again', 'workgroup memory', workgroupProbe, 'at += 4u;', ''],
  ['half of the rounds', 'subgroup broadcast', broadcastProbe, 'i += 1u', 'i += 2u'],
];

describe('caught', () => {
  test.each(saboteurs)('%s of %s', async (_fault, name, { shader }, find, replace) => {
    const source = testPlatform().shaderSource(shader);
    expect(source).toContain(find);
    const sabotaged = await gpuWith({ [shader]: source.replaceAll(find, replace) });
    try {
      const probe = probesFor(small).find((candidate) => candidate.name === name);
      if (probe === undefined) throw new Error(`no probe ${name}`);
      const ceiling = await runProbe(sabotaged, probe, clock, 0);
      if (ceiling.state === 'absent' && name === 'subgroup broadcast') return;
      expect(ceiling.state).toBe('failed');
      expect(ceiling).toMatchObject({
        reason: expect.stringMatching(/^element \d+ is \d+, not \d+$/) as string,
      });
    } finally {
      sabotaged.destroy();
    }
  });
});
