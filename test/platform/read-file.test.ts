/** What is no file, has no end or is too long is refused at once. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moebius-read-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const platform = nodePlatform();
const refused = (path: string, message: RegExp, mostBytes?: number): Promise<void> =>
  expect(platform.readFile(path, mostBytes)).rejects.toMatchObject({
    name: 'ConfigError',
    message: expect.stringMatching(message) as string,
  });

test.each(['/dev/zero', '/dev/random', '/dev/urandom', '/dev/full', '/dev/null', '/dev/tty'])(
  '%s, and a link to it',
  async (device) => {
    await refused(device, /cannot read \/dev\/\w+: it is a device, not a file/);
    const link = join(folder, device.replaceAll('/', '-'));
    await symlink(device, link);
    await refused(link, /it is a device, not a file/);
  },
);

test('a folder, a name below a file, a link to itself', async () => {
  await mkdir(join(folder, 'sub'));
  await refused(join(folder, 'sub'), /it is a folder/);
  await writeFile(join(folder, 'plain'), 'abc');
  await refused(join(folder, 'plain', 'x'), /a file, not a folder/);
  await symlink('self', join(folder, 'self'));
  await refused(join(folder, 'self'), /a link to itself/);
  await refused(join(folder, 'n'.repeat(300)), /name is too long/);
  await refused(join(folder, 'no'), /there is no such file/);
});

test('a named pipe without a writer is refused, one with a writer is read', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await refused(pipe, /a pipe that nothing came through/);
  // The writer starts after us and writes in two parts.
  spawn('sh', ['-c', `exec > ${pipe}; printf abc; printf def`], { stdio: 'ignore' });
  expect(new TextDecoder().decode(await platform.readFile(pipe))).toBe('abcdef');
});

test('a pipe without an end stops at a limit', async () => {
  const pipe = join(folder, 'endless');
  execFileSync('mkfifo', [pipe]);
  const writer = spawn('sh', ['-c', `exec cat /dev/zero > ${pipe}`], { stdio: 'ignore' });
  await refused(pipe, /it does not end, and at most 1000000 are read/, 1e6);
  writer.kill();
});

test('a file larger than it may be is not read', async () => {
  const path = join(folder, 'large');
  await writeFile(path, '{}');
  await truncate(path, 2 ** 40);
  await refused(path, /it has 1099511627776 bytes, and at most 2147483647/);
  await refused(path, /it has 1099511627776 bytes, and at most 5/, 5);
  await truncate(path, 5);
  expect(await platform.readFile(path, 5)).toHaveLength(5);
});

test("the system's own files, which say that they are empty or larger than they are", async () => {
  expect(new TextDecoder().decode(await platform.readFile('/proc/self/status'))).toMatch(/^Name:/);
  const pageSized = '/sys/kernel/mm/transparent_hugepage/enabled';
  const there = await open(pageSized).catch(() => undefined);
  await there?.close();
  if (there !== undefined) expect(await platform.readFile(pageSized)).not.toHaveLength(4096);
});

test('a model whose files are devices', async () => {
  const model = join(folder, 'model');
  await mkdir(model);
  await symlink('/dev/zero', join(model, 'config.json'));
  const read = (path: string, mostBytes?: number): Promise<Uint8Array> => platform.readFile(path, mostBytes);
  await expect(loadCheckpoint(model, read)).rejects.toThrow(/config\.json: it is a device/);
  await expect(loadCheckpoint(join(folder, 'plain'), read)).rejects.toThrow(/a file, not a folder/);
});
