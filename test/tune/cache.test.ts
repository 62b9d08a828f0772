/** A cache file is used whole or not at all, and never ends a run. */
import { mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { withLock } from '../../src/cli/files/lock.ts';
import { addToTuningFile, readTuningFile, tuningPath, writeTuningFile } from '../../src/cli/tuning.ts';
import type { AdapterFacts } from '../../src/platform/platform.ts';
import { formatCache, type TuningCache } from '../../src/tune/cache.ts';
import type { TuningPoint } from '../../src/tune/point.ts';
import { scratchFolder } from '../cli/spawn.ts';
import { pointOf } from './support.ts';

const facts: AdapterFacts = {
  ...{ name: 'adapter A', vendor: 'v', architecture: 'a', driver: 'driver 1', kind: 'gpu', search: [] },
};
const cache: TuningCache = {
  ...{ schema: 'moebius-tuning', version: 1, adapter: { name: 'adapter A', driver: 'driver 1' } },
  ...{ date: '2026-11-24T00:00:00.000Z', project: '0.1.0' },
  clock: { clock: 'gpu', grainNs: 1, note: '' },
  points: [pointOf({ rows: 4, times: { own: 100, row: 50 } })],
};
const whole = formatCache(cache);
const changed = (change: object): string => JSON.stringify({ ...cache, ...change });
const [point] = cache.points;

test('reads back what was written, and leaves nothing beside it', async () => {
  const folder = join(await scratchFolder(), 'new', 'folders');
  const path = join(folder, 'tuning.json');
  await writeTuningFile(path, cache);
  await writeTuningFile(path, { ...cache, project: '0.2.0' });
  expect(await readTuningFile(path, facts)).toEqual({ cache: { ...cache, project: '0.2.0' } });
  expect(await readdir(folder)).toEqual(['tuning.json']);
});

test('points of before families had the names of their ops are of the same family still', async () => {
  const path = join(await scratchFolder(), 'tuning.json');
  const old = ['gemm', 'experts', 'attention'].map((family) => ({ ...point, family }));
  await writeFile(path, changed({ points: old }));
  const read = await readTuningFile(path, facts);
  expect(read?.cache?.points.map(({ family }) => family)).toEqual(['matmul', 'moe', 'attention']);
});

test('a file that is not there is no warning', async () => {
  expect(await readTuningFile(join(await scratchFolder(), 'none.json'), facts)).toBeUndefined();
});

/** Why, and whether the next run may write the file anew. */
const REBUILT = /^tuning cache .* is ignored: .*Run "moebius tune" to rebuild it\.$/;
const PRECIOUS = /^tuning cache .* is ignored: .*Remove it, or name another file\.$/;

describe('ignored with one line', () => {
  test.each([
    ['empty', '', /no whole JSON file/, REBUILT],
    ['truncated', whole.slice(0, whole.length / 2), /no whole JSON file/, REBUILT],
    ['truncated to a word', whole.slice(0, 14), /no whole JSON file/, REBUILT],
    ['zeros', '\u0000'.repeat(1000), /no whole JSON file/, REBUILT],
    ['binary', '\u0000\u0001\u0002', /it is no tuning cache/, PRECIOUS],
    ['not an object', '[]', /it is no tuning cache/, PRECIOUS],
    ['null', 'null', /it is no tuning cache/, PRECIOUS],
    ['a text', 'Dear diary,\n', /it is no tuning cache/, PRECIOUS],
    [
      'of another adapter',
      changed({ adapter: { name: 'B', driver: 'driver 1' } }),
      /of the adapter B, this one is adapter A/,
      PRECIOUS,
    ],
    [
      'of another driver',
      changed({ adapter: { name: 'adapter A', driver: '2' } }),
      /of the driver 2, this one is driver 1/,
      REBUILT,
    ],
    [
      'of kernels for another kind',
      changed({ adapter: { ...cache.adapter, kernels: 'gpu' } }),
      /of kernels as for kind gpu, and these are for the adapter's own kind/,
      PRECIOUS,
    ],
    ['of another schema', changed({ schema: 'other' }), /it is no tuning cache/, PRECIOUS],
    ['of another version', changed({ version: 2 }), /it has version 2, and this package knows 1/, PRECIOUS],
    ['without points', changed({ points: undefined }), /points/, REBUILT],
    [
      'with a time of zero',
      changed({ points: [{ ...point, againNs: [0] }] }),
      /points\.0\.againNs\.0/,
      REBUILT,
    ],
    [
      'with a choice without evidence',
      changed({ points: [{ ...point, choice: 'ghost' }] }),
      /the choice has no evidence/,
      REBUILT,
    ],
    ['with a date that is none', changed({ date: 'yesterday' }), /date/, REBUILT],
  ])('%s', async (_what, text, why, whatNext) => {
    const path = join(await scratchFolder(), 'tuning.json');
    await writeFile(path, text);
    const read = await readTuningFile(path, facts);
    expect(read?.cache).toBeUndefined();
    expect(read?.warning).toMatch(why);
    expect(read?.warning).toMatch(whatNext);
    expect(read?.warning).not.toContain('\n');
    expect(read?.precious !== undefined).toBe(whatNext === PRECIOUS);
    await writeTuningFile(path, cache);
    expect(await readFile(path, 'utf8')).toBe(whole);
  });

  test('under the switch, what was measured without it; not what was measured under it', async () => {
    const path = join(await scratchFolder(), 'tuning.json');
    const switched = { ...facts, kernels: 'gpu' } as const;
    await writeTuningFile(path, cache);
    expect((await readTuningFile(path, switched))?.precious).toMatch(/these are as for kind gpu/);
    const own: TuningCache = { ...cache, adapter: { ...cache.adapter, kernels: 'gpu' } };
    await writeTuningFile(path, own);
    expect(await readTuningFile(path, switched)).toEqual({ cache: own });
  });

  test('a folder in its place', async () => {
    const path = join(await scratchFolder(), 'tuning.json');
    await mkdir(path);
    expect((await readTuningFile(path, facts))?.warning).toMatch(/cannot be read/);
    await expect(writeTuningFile(path, cache)).rejects.toThrow(/cannot write/);
  });
});

describe('points of several runs in one file', () => {
  const cacheWith = (points: TuningCache['points']): TuningCache => ({ ...cache, points });
  const made = (rows: number, own = 100): TuningPoint => pointOf({ rows, times: { own, row: 50 } });
  const rowsIn = async (path: string): Promise<(number | undefined)[]> =>
    ((await readTuningFile(path, facts))?.cache?.points ?? []).map(({ sizes }) => sizes.numRows);

  test('all stay, whoever writes last', async () => {
    const path = join(await scratchFolder(), 'new', 'tuning.json');
    const rows = Array.from({ length: 12 }, (_, i) => i + 1);
    await Promise.all(rows.map((n) => addToTuningFile(path, facts, cacheWith, [made(n)])));
    expect((await rowsIn(path)).sort((a = 0, b = 0) => a - b)).toEqual(rows);
    expect(await readdir(dirname(path))).toEqual(['tuning.json']);
  });

  test('of one shape the last is taken', async () => {
    const path = join(await scratchFolder(), 'tuning.json');
    await addToTuningFile(path, facts, cacheWith, [made(4), made(8)]);
    const points = await addToTuningFile(path, facts, cacheWith, [made(4, 200)]);
    expect(points.map(({ sizes, evidence }) => [sizes.numRows, evidence[0]?.samplesNs[0]])).toEqual([
      [8, 100],
      [4, 200],
    ]);
  });

  test('of a run on another adapter that was faster are not written over', async () => {
    const path = join(await scratchFolder(), 'tuning.json');
    const other = { ...facts, name: 'adapter B' };
    await addToTuningFile(path, facts, cacheWith, [made(4)]);
    await expect(addToTuningFile(path, other, cacheWith, [made(8)])).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(/would be overwritten, and it is of the adapter adapter A/) as string,
    });
    expect(await rowsIn(path)).toEqual([4]);
  });

  test('two names of one file have one lock, and a link stays a link', async () => {
    const folder = await scratchFolder();
    await symlink('real.json', join(folder, 'link.json'));
    const names = ['real.json', 'link.json'].map((name) => join(folder, name));
    const rows = [1, 2, 3, 4, 5, 6];
    await Promise.all(rows.map((n) => addToTuningFile(names[n % 2] ?? '', facts, cacheWith, [made(n)])));
    expect((await rowsIn(join(folder, 'real.json'))).sort()).toEqual(rows);
    expect((await readdir(folder)).sort()).toEqual(['link.json', 'real.json']);
  });

  test.each([
    ['of a process that is gone', `${2 ** 22 + 1} ${hostname()}`, 0],
    ['that is old', `1 another-host`, 60],
    ['that is old and empty', '', 60],
  ])('a lock %s is broken', async (_what, owner, ageSeconds) => {
    const folder = await scratchFolder();
    const path = join(folder, 'tuning.json');
    let lock = '';
    await withLock(path, async () => {
      const found = (await readdir(folder)).find((name) => name.endsWith('.lock'));
      lock = join(folder, found ?? 'none');
    });
    await writeFile(lock, owner);
    const then = Date.now() / 1e3 - ageSeconds;
    await utimes(lock, then, then);
    await addToTuningFile(path, facts, cacheWith, [made(4)]);
    expect(await readdir(folder)).toEqual(['tuning.json']);
  });
});

describe('where a cache is', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('one file per adapter and driver', async () => {
    vi.stubEnv('MOEBIUS_TUNING', '');
    const of = (change: Partial<AdapterFacts>): Promise<string | undefined> =>
      tuningPath({ ...facts, ...change });
    const paths = await Promise.all([of({}), of({ driver: 'driver 2' }), of({ name: 'adapter B' }), of({})]);
    expect(paths[0]).toMatch(/tuning-adapter-[0-9a-f]{8}\.json$/);
    expect(new Set(paths).size).toBe(3);
    expect(paths[3]).toBe(paths[0]);
  });

  test("one more for kernels that are not of the adapter's own kind", async () => {
    vi.stubEnv('MOEBIUS_TUNING', '');
    const paths = await Promise.all(
      ([undefined, 'gpu', 'software'] as const).map((kernels) => tuningPath({ ...facts, kernels })),
    );
    expect(new Set(paths).size).toBe(3);
    expect(paths[1]).toMatch(/tuning-adapter-[0-9a-f]{8}-as-gpu\.json$/);
  });

  test('the one that is named, then that of the environment', async () => {
    vi.stubEnv('MOEBIUS_TUNING', '/from/environment.json');
    expect(await tuningPath(facts)).toBe('/from/environment.json');
    expect(await tuningPath(facts, '/named.json')).toBe('/named.json');
    vi.stubEnv('MOEBIUS_TUNING', 'off');
    expect(await tuningPath(facts)).toMatch(/tuning-adapter-/);
  });
});
