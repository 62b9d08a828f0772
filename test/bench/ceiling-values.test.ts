/** The number that a probe's time becomes: the work that its result shows, over the time, no more and no less. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { probesFor, runProbe } from '../../src/bench/ceilings/ceilings.ts';
import type { ProbeName, ProbeScale } from '../../src/measure/probes/probe.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
/** Every reading of the clock is a millisecond after the one before. */
beforeAll(async () => {
  const platform = testPlatform();
  let now = 0;
  gpu = await openGpu({
    name: platform.name,
    openAdapter: (choice) => platform.openAdapter(choice),
    shaderSource: (path) => platform.shaderSource(path),
    shaderPaths: () => platform.shaderPaths(),
    readFile: (path) => platform.readFile(path),
    now: () => (now += 1e6),
  });
});
afterAll(() => gpu.destroy());

const KIB = 2 ** 10;
const scale: ProbeScale = {
  ...{ lanes: 256, width: 64, rowWidth: 8, fmaSteps: 64, perLane: 16, readBytes: 256 * KIB },
  ...{ loads: 64, chainLoads: 256, footprints: [16 * KIB, 256 * KIB] },
};

/** Of one run of each probe at this scale: FLOP, bytes or loads, by hand. */
const WORK: readonly [ProbeName, string | undefined, number | undefined, number][] = [
  // 256 lanes with 8 chains of vec4, 64 steps of a multiply and an add.
  ['f32 multiply-add', 's * a + b, 8 chains', undefined, 256 * 8 * 4 * 64 * 2],
  // The small set is read until 256 KiB have come.
  ['storage read', undefined, 16 * KIB, 256 * KIB],
  ['storage read', undefined, 256 * KIB, 256 * KIB],
  // Half of it is read, half written.
  ['storage copy', undefined, 256 * KIB, 256 * KIB],
  ['storage loads', undefined, 4 * KIB, 256 * (64 + 4)],
  ['loads of one lane', undefined, 4 * KIB, 256 + 4],
  ['workgroup memory', undefined, 4 * KIB, 16 * 256 * (64 - 4)],
];

test.each(WORK)('%s %s %s: %d a window', async (name, form, footprint, work) => {
  const probe = probesFor(scale).find(
    (p) => p.name === name && (form === undefined || p.form === form) && p.footprintBytes === footprint,
  );
  if (probe === undefined)
    throw new Error(
      `no probe; there is ${probesFor(scale)
        .map((p) => `${p.name} ${p.form} ${p.footprintBytes}`)
        .join('; ')}`,
    );
  const ceiling = await runProbe(gpu, probe, { clock: 'host', grainNs: 1, note: '' }, 0);
  // A window takes two ticks of that clock, whatever it holds, since the submit reads it too; it is long enough at once.
  expect(ceiling).toMatchObject({ state: 'measured', value: (work * 1000) / 2, clock: 'host' });
});
