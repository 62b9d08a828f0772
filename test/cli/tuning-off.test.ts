/** Who uses what was tuned: every command unless it is told not to, and only for the adapter and driver of the file. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { generate } from '../../src/cli/verbs/generate.ts';
import { withGpu } from '../../src/cli/session.ts';
import { attachTuning, tuningPath, writeTuningFile } from '../../src/cli/tuning.ts';
import type { AdapterFacts } from '../../src/platform/platform.ts';
import { scratchFolder } from './spawn.ts';

let path: string;
beforeEach(async () => {
  path = join(await scratchFolder(), 'tuning.json');
  await withGpu({}, ({ facts: { name, driver } }) =>
    writeTuningFile(path, {
      ...{ schema: 'moebius-tuning', version: 1, adapter: { name, driver }, project: '0', points: [] },
      ...{ date: '2026-11-24T00:00:00.000Z', clock: { clock: 'gpu', grainNs: 1, note: '' } },
    }),
  );
});
afterEach(() => void vi.unstubAllEnvs());

test('the file that MOEBIUS_TUNING names is used; off and --no-tuning leave the defaults', async () => {
  await withGpu({}, async (gpu) => {
    vi.stubEnv('MOEBIUS_TUNING', path);
    expect(await attachTuning(gpu)).toMatchObject({ state: 'used', path });
    expect(gpu.tuning).toMatchObject({ advice: [] });
    expect(await attachTuning(gpu, { tuning: false })).toEqual({
      state: 'off',
      note: 'tuning: off',
      entries: 0,
    });
    expect(gpu.tuning).toBeUndefined();
    await attachTuning(gpu);
    vi.stubEnv('MOEBIUS_TUNING', 'off');
    expect(await attachTuning(gpu)).toMatchObject({ state: 'off' });
    expect(gpu.tuning).toBeUndefined();
    vi.stubEnv('MOEBIUS_TUNING', `${path}.none`);
    expect(await attachTuning(gpu)).toMatchObject({ state: 'none' });
    expect(gpu.tuning).toBeUndefined();
  });
});

test('generate runs as tuned, whatever its cache of keys holds, and not with --no-tuning', async () => {
  vi.stubEnv('MOEBIUS_TUNING', path);
  const options = { prompt: 'O', tokens: 1, layout: 'ep=1' };
  for (const cache of ['f32', 'f16'] as const) {
    const { tuning, cache: used } = await generate({ ...options, cache });
    expect([used, tuning.state, tuning.path]).toEqual([cache, 'used', path]);
  }
  expect((await generate({ ...options, tuning: false })).tuning.state).toBe('off');
});

test('a file of its own for every adapter and every driver', async () => {
  vi.stubEnv('MOEBIUS_TUNING', '');
  const facts = (name: string, driver: string): AdapterFacts => ({
    ...{ name, driver, vendor: 'v', architecture: 'a', kind: 'gpu', search: [] },
  });
  const paths = await Promise.all(
    [facts('card A', '1'), facts('card A', '2'), facts('card B', '1'), facts('card A', '1')].map((f) =>
      tuningPath(f),
    ),
  );
  expect(new Set(paths).size).toBe(3);
  expect(paths[3]).toBe(paths[0]);
});
