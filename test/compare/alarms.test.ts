/** The evidence of `npm run bench:alarms`: what it plants, and one trial through the whole pipeline. */
import { afterEach, expect, test } from 'vitest';
import { plantSlowdown } from '../../bench/alarms/plant.ts';
import { trial } from '../../bench/alarms/trial.ts';
import { range } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { subjectCase } from '../../src/validate/draw/subject.ts';
import { runCase } from '../../src/validate/run-case.ts';
import { testPlatform } from '../setup/platform.ts';

let restore: (() => void) | undefined;
afterEach(() => restore?.());

const norm = subjectCase({ op: 'rms-norm', dims: { T: 4, D: 16 } });

async function dispatchesOf(gpu: Gpu, runs: number): Promise<number> {
  const prepared = await norm.prepare(gpu);
  const commands = gpu.commands('test');
  range(runs).forEach(() => prepared.record(commands));
  const { dispatches } = commands;
  commands.submit();
  await gpu.sync();
  prepared.destroy();
  return dispatches;
}

test('every tenth dispatch of the kernel is recorded twice, of no other, and its results are the same', async () => {
  const gpu = await openGpu(testPlatform());
  try {
    const bare = await dispatchesOf(gpu, 30);
    restore = plantSlowdown('norm/', 10);
    expect(await dispatchesOf(gpu, 30)).toBe(bare + 3);
    expect((await runCase(gpu, norm)).pass).toBe(true);
    restore();
    restore = plantSlowdown('rope', 10);
    expect(await dispatchesOf(gpu, 30)).toBe(bare);
    restore();
    restore = undefined;
    expect(await dispatchesOf(gpu, 30)).toBe(bare);
  } finally {
    gpu.destroy();
  }
});

test.skipIf(!process.env.MOEBIUS_RUNS)(
  'a kernel that takes half as long again is found through the whole pipeline, or told as ambiguous where runs spread',
  async () => {
    const found = await trial({
      ...{ adapter: process.env.MOEBIUS_ADAPTER ?? 'auto', runs: 5, seconds: 2, seed: 1 },
      ...{ families: ['rope', 'rms-norm', 'gate-topk'], shader: 'rope', every: 2, row: 'rope: ' },
    });
    expect(found.rows).toBe(4);
    expect(['slower', 'ambiguous']).toContain(found.word);
    if (found.spread <= 0.03) expect(found).toMatchObject({ word: 'slower' });
  },
  1_800_000,
);
