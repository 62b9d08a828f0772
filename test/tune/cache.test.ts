/** A cache file is used whole or not at all, and never ends a run. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readTuningFile, writeTuningFile } from '../../src/cli/tuning.ts';
import type { AdapterFacts } from '../../src/platform/platform.ts';
import { formatCache, type TuningCache } from '../../src/tune/cache.ts';
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

test('a file that is not there is no warning', async () => {
  expect(await readTuningFile(join(await scratchFolder(), 'none.json'), facts)).toBeUndefined();
});

describe('ignored with one line', () => {
  test.each([
    ['empty', '', /no whole JSON file/],
    ['truncated', whole.slice(0, whole.length / 2), /no whole JSON file/],
    ['binary', '\u0000\u0001\u0002', /no whole JSON file/],
    ['not an object', '[]', /the file|schema/],
    [
      'of another adapter',
      changed({ adapter: { name: 'B', driver: 'driver 1' } }),
      /of the adapter B, this one is adapter A/,
    ],
    [
      'of another driver',
      changed({ adapter: { name: 'adapter A', driver: '2' } }),
      /of the driver 2, this one is driver 1/,
    ],
    ['of another schema', changed({ schema: 'other' }), /schema/],
    ['of another version', changed({ version: 2 }), /version/],
    ['without points', changed({ points: undefined }), /points/],
    ['with a time of zero', changed({ points: [{ ...point, againNs: [0] }] }), /points\.0\.againNs\.0/],
    [
      'with a choice without evidence',
      changed({ points: [{ ...point, choice: 'ghost' }] }),
      /the choice has no evidence/,
    ],
    ['with a date that is none', changed({ date: 'yesterday' }), /date/],
  ])('%s', async (_what, text, why) => {
    const path = join(await scratchFolder(), 'tuning.json');
    await writeFile(path, text);
    const read = await readTuningFile(path, facts);
    expect(read?.cache).toBeUndefined();
    expect(read?.warning).toMatch(why);
    expect(read?.warning).toMatch(/^tuning cache .* is ignored: .*Run "moebius tune" to rebuild it\.$/);
    expect(read?.warning).not.toContain('\n');
    // Rebuilt by the next write.
    await writeTuningFile(path, cache);
    expect(await readFile(path, 'utf8')).toBe(whole);
  });

  test('a folder in its place', async () => {
    const path = join(await scratchFolder(), 'tuning.json');
    await mkdir(path);
    expect((await readTuningFile(path, facts))?.warning).toMatch(/cannot be read/);
    await expect(writeTuningFile(path, cache)).rejects.toThrow(/cannot write/);
  });
});
