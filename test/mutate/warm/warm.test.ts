/** A vitest that stays sees a fault as one that starts does, in the sources and in the built command, and forgets it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyTree, plant } from '../copies.ts';
import type { Mutant, Watch } from '../mutant.ts';
import { WarmTests } from './process.ts';

/** Tests of a project that has only these. */
const OWN = `
import { expect, inject, test } from 'vitest';
import { formatNs } from '../src/core/units.ts';
test('durations (of 2 us)', () => expect(formatNs(2000)).toBe('2.00 us'));
test('durations of the command', async () => {
  const built = await import(inject('command').replace('bin/moebius.js', 'dist/core/units.js'));
  expect(built.formatNs(2000)).toBe('2.00 us');
});
test('a switch', () => expect(process.env.MOEBIUS_KIND).toBe(undefined));
test('no test', () => new Promise(() => undefined));
`;

let scratch: string;
let folder: string;
let warm: WarmTests;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'moebius-warm-'));
  folder = join(scratch, 'copy');
  mkdirSync(folder);
  copyTree(folder);
  writeFileSync(join(folder, 'test/own.test.ts'), OWN);
  warm = new WarmTests(folder);
});
afterAll(() => {
  warm.end();
  rmSync(scratch, { recursive: true, maxRetries: 3 });
});

const units = { file: 'src/core/units.ts', why: 'a unit is another', tests: [] };
const milli: Mutant = { ...units, find: 'formatNumber(ns / 1e3)} us', replace: 'formatNumber(ns / 1e3)} ms' };
const less: Mutant = { ...units, find: 'formatNumber(ns / 1e3)} us', replace: 'formatNumber(ns / 2e3)} us' };

/** @param fault planted while the tests run; undefined leaves the sources as they are. */
async function seen(fault: Mutant | undefined, watch: Partial<Watch>, seconds = 100) {
  const takeOut = fault === undefined ? () => undefined : plant(folder, fault);
  try {
    return await warm.run({ tests: ['own.test.ts'], ...watch }, (fault ?? less).file, seconds);
  } finally {
    takeOut();
  }
}

test('faults come and go', { timeout: 300_000 }, async () => {
  const source = { only: '^durations \\(of 2 us\\)$' };
  const command = { only: 'the command$' };
  const failed = { state: 'failed', file: 'own.test.ts' };
  // The first run builds the command with the fault in it.
  expect(await seen(milli, command)).toMatchObject({ ...failed, failed: 'durations of the command' });
  expect(await seen(undefined, { only: '^durations' })).toMatchObject({ state: 'passed' });
  const run = await seen(less, source);
  expect(run).toMatchObject({ ...failed, failed: 'durations (of 2 us)' });
  expect(run?.message).toMatch(/1\.00 us/);
  expect(await seen(milli, command)).toMatchObject({ ...failed, failed: 'durations of the command' });
  expect(await seen(undefined, { only: 'switch', env: { MOEBIUS_KIND: 'gpu' } })).toMatchObject(failed);
  expect(await seen(undefined, { only: 'switch|durations' })).toMatchObject({ state: 'passed' });
  expect(await seen(undefined, { only: 'nothing' })).toMatchObject({ state: 'no tests' });
  expect(await seen({ ...less, replace: '}' }, source)).toMatchObject({
    state: 'failed',
    message: expect.stringMatching(/Transform failed/) as string,
  });
  expect(await seen(undefined, { only: 'no test' }, 3)).toMatchObject({ state: 'hung' });
  expect(await seen(undefined, source)).toMatchObject({ state: 'passed' });
});
