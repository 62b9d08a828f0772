/** The evidence of `npm run bench:alarms`: what it plants, and one trial through the whole pipeline. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { judge, judgementText } from '../../bench/alarms/judge.ts';
import { keepIn } from '../../bench/alarms/kept.ts';
import { plantSlowdown } from '../../bench/alarms/plant.ts';
import { type Trial, trial } from '../../bench/alarms/trial.ts';
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

describe('what trials come to', () => {
  const one = (change: Partial<Trial> = {}): Trial => ({
    ...{ rows: 4, named: 0, word: 'slower', ratio: 1.1, spread: 0.01 },
    ...change,
  });
  const of = (count: number, change?: Partial<Trial>): Trial[] => range(count).map(() => one(change));

  test.each([
    ['kept', [...of(19), one({ word: 'ambiguous' })], undefined],
    [
      'kept where runs spread, as long as nothing is called the same',
      of(20, { word: 'ambiguous', spread: 0.2 }),
      undefined,
    ],
    ['too many alarms', [...of(17), ...of(3, { named: 2 })], /more than 5.0 %/],
    ['too few found', [...of(18), ...of(2, { word: 'ambiguous' })], /fewer than 95.0 %/],
    ['the same', [...of(19), one({ word: 'same', spread: 0.2 })], /was called the same/],
    ['a spread that is no number is not calm', of(20, { word: 'ambiguous', spread: NaN }), undefined],
  ])('%s', (_what, trials, broken) => {
    const found = judge(trials);
    if (broken === undefined) expect(found.broken).toBeUndefined();
    else expect(found.broken).toMatch(broken);
    expect(judgementText(found).join(' ')).not.toContain('NaN');
  });
});

test('runs are kept: those that are there are not made again, and others are not mixed with them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moebius-alarms-'));
  try {
    await keepIn(folder, { seconds: 2 });
    await keepIn(folder, { seconds: 2 });
    await expect(keepIn(folder, { seconds: 4 })).rejects.toThrow(/other settings.*--folder/);
    expect(await readdir(folder)).toEqual(['settings.json']);
    // All runs are there, so that what they say is read: no bench is started.
    const own = join(folder, '1');
    await mkdir(own);
    for (const side of ['a', 'b', 'c']) await writeFile(join(own, `${side}1.json`), '{}');
    const asked = trial({
      ...{ adapter: 'none', runs: 1, seconds: 1, families: [], shader: '', every: 2, row: '', seed: 0 },
      folder: own,
    });
    await expect(asked).rejects.toThrow(/a1.json is no moebius-bench result/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.skipIf(!process.env.MOEBIUS_RUNS)(
  'a kernel that takes half as long again is found through the whole pipeline, or told as ambiguous where runs spread',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'moebius-alarms-'));
    const found = await trial({
      folder,
      ...{ adapter: process.env.MOEBIUS_ADAPTER ?? 'auto', runs: 5, seconds: 2, seed: 1 },
      ...{ families: ['rope', 'rms-norm', 'gate-topk'], shader: 'rope', every: 2, row: 'rope: ' },
    });
    await rm(folder, { recursive: true });
    expect(found.rows).toBe(4);
    expect(['slower', 'ambiguous']).toContain(found.word);
    if (found.spread <= 0.03) expect(found).toMatchObject({ word: 'slower' });
  },
  1_800_000,
);
