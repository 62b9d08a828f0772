/** Versions of what a result depends on, wherever npm has put it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installedVersion, versionsHere } from '../../src/cli/package.ts';

let root: string;
const importer = (): string => join(root, 'node_modules', 'moebius', 'package.json');

async function install(folder: string, version: string): Promise<void> {
  await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, folder, 'package.json'), JSON.stringify({ version }));
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'moebius-test-'));
  await install('node_modules/moebius', '1.0.0');
});
afterAll(() => rm(root, { recursive: true, force: true }));

test('a package that is hoisted is found, and one of its own comes first', async () => {
  expect(installedVersion('@scope/it', importer())).toBeUndefined();
  await install('node_modules/@scope/it', '2.0.0');
  expect(installedVersion('@scope/it', importer())).toBe('2.0.0');
  await install('node_modules/moebius/node_modules/@scope/it', '3.0.0');
  expect(installedVersion('@scope/it', importer())).toBe('3.0.0');
});

test('all that this package imports is installed here', () => {
  for (const version of Object.values(versionsHere())) expect(version).toMatch(/^\d+\.\d+\.\d+/);
});
