/** Output places: tried before work, links and modes kept, whole or absent. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  watch,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { checkFolder, checkOutput, writeWhole } from '../../src/cli/files/files.ts';
import { keepResult } from '../../src/cli/files/keep.ts';
import { canBeNobody, scratchFolder } from './spawn.ts';

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;

describe('checkOutput refuses, and leaves nothing', () => {
  test.each<[string, string, RegExp]>([
    ['a folder', '.', /it is a folder/],
    ['the name of a folder', 'new/', /name of a folder/],
    ['a missing parent', 'no/out', /there is no folder .*no\. Name another place with --out\.$/],
    ['a file as parent', 'file/out', /file is a file, not a folder/],
    ['a link to itself', 'loop', /it is a link to itself/],
    ['a link into no folder', 'astray', /it is a link to nowhere\/out, and there is no folder/],
    ['a name of 300 bytes', 'n'.repeat(300), /the name is too long/],
    ['a path of 5,000 bytes', `${'d/'.repeat(2500)}out`, /the name is too long|there is no folder/],
    ['a FIFO', 'fifo', /it is not a plain file/],
    ['a device', '/dev/full', /it is not a plain file/],
    ['a device that takes all', '/dev/null', /it is not a plain file/],
    ['a place of the system', '/proc/out', /cannot write \/proc\/out: no file out can be made in \/proc/],
    ['a name with a zero byte', 'a\0b', /zero byte/],
  ])('%s', async (_what, name, message) => {
    const folder = await scratchFolder();
    await writeFile(join(folder, 'file'), '');
    await symlink('loop', join(folder, 'loop'));
    await symlink('nowhere/out', join(folder, 'astray'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    const path = name.startsWith('/') ? name : `${folder}/${name}`;
    const rules = { remedy: 'Name another place with --out.' };
    const before = await readdir(folder);
    await expect(checkOutput(path, rules)).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(message) as string,
    });
    expect(await readdir(folder)).toEqual(before);
  });

  test('an empty path', async () => {
    await expect(checkOutput('')).rejects.toThrow(/output path is empty/);
  });

  test('a folder for results below a file', async () => {
    const folder = await scratchFolder();
    await writeFile(join(folder, 'file'), '');
    await expect(checkFolder(join(folder, 'file'))).rejects.toThrow(/it is a file, not a folder/);
    await expect(checkFolder(join(folder, 'file', 'results'))).rejects.toThrow(/is a file, not a folder/);
    // Where Node's own `mkdir` with `recursive` never ends.
    await expect(checkFolder('/proc/results')).rejects.toThrow(/cannot write \/proc\/results/);
  });

  test('but not a folder for results that can be made, and does not leave it', async () => {
    const folder = await scratchFolder();
    await checkFolder(join(folder, 'a', 'results'));
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('writeWhole', () => {
  test('replaces a file at once and leaves no draft', async () => {
    const folder = await scratchFolder();
    const path = join(folder, 'a');
    await writeWhole(path, 'one');
    const first = await stat(path);
    await writeWhole(path, 'two');
    expect(await readFile(path, 'utf8')).toBe('two');
    // Another file: who has the old one open still reads it whole.
    expect((await stat(path)).ino).not.toBe(first.ino);
    expect(await readdir(folder)).toEqual(['a']);
  });

  test('refuses a folder, and leaves no draft', async () => {
    const folder = await scratchFolder();
    await mkdir(join(folder, 'a', 'b'), { recursive: true });
    await expect(writeWhole(join(folder, 'a'), 'one')).rejects.toThrow(/cannot write/);
    expect(await readdir(folder)).toEqual(['a']);
  });

  test.each([0o600, 0o640, 0o755, 0o444])(
    'keeps mode %i, and a link that leads to the file',
    async (mode) => {
      const folder = await scratchFolder();
      await mkdir(join(folder, 'far'));
      const real = join(folder, 'far', 'real');
      await writeFile(real, 'old');
      await chmod(real, mode);
      await symlink('far/real', join(folder, 'near'));
      await symlink('near', join(folder, 'link'));
      await writeWhole(join(folder, 'link'), 'new');
      expect(await readFile(real, 'utf8')).toBe('new');
      expect(await modeOf(real)).toBe(mode);
      expect(await readlink(join(folder, 'link'))).toBe('near');
      expect((await lstat(join(folder, 'near'))).isSymbolicLink()).toBe(true);
      expect(await readdir(join(folder, 'far'))).toEqual(['real']);
    },
  );

  test('a link to what is not there yet makes it there', async () => {
    const folder = await scratchFolder();
    await mkdir(join(folder, 'far'));
    await symlink('far/real', join(folder, 'link'));
    await checkOutput(join(folder, 'link'));
    expect(await readdir(join(folder, 'far'))).toEqual([]);
    await writeWhole(join(folder, 'link'), 'new');
    expect(await readFile(join(folder, 'far', 'real'), 'utf8')).toBe('new');
    expect(await readlink(join(folder, 'link'))).toBe('far/real');
  });

  test('all names of a file get the new content, shorter or longer', async () => {
    const folder = await scratchFolder();
    const [one, other] = [join(folder, 'one'), join(folder, 'other')];
    await writeFile(one, 'something long');
    await link(one, other);
    await writeWhole(one, 'new');
    expect(await readFile(other, 'utf8')).toBe('new');
    expect((await stat(one)).nlink).toBe(2);
    expect((await readdir(folder)).sort()).toEqual(['one', 'other']);
  });

  test.runIf(process.getuid?.() === 0)('keeps the owner', async () => {
    const path = join(await scratchFolder(), 'a');
    await writeFile(path, 'old');
    await chown(path, 1234, 2345);
    await writeWhole(path, 'new');
    expect(await stat(path)).toMatchObject({ uid: 1234, gid: 2345 });
  });

  test.each([1, 200, 250, 255])('a name of %i bytes', async (length) => {
    const folder = await scratchFolder();
    const path = join(folder, 'n'.repeat(length));
    await checkOutput(path);
    await writeWhole(path, 'one');
    expect(await readdir(folder)).toEqual(['n'.repeat(length)]);
  });
});

/** Writes 256 MB by `writeWhole` in a process of its own, which is given a signal while its draft is there. */
test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s while writing leaves no draft', async (signal) => {
  const folder = await scratchFolder();
  const path = join(folder, 'out');
  await writeFile(path, 'old');
  const from = (file: string): string =>
    pathToFileURL(fileURLToPath(new URL(`../../src/cli/${file}`, import.meta.url))).href;
  const script = join(folder, 'write.mjs');
  await writeFile(
    script,
    `import '${from('typescript.js')}';
     const { writeWhole } = await import('${from('files/files.ts')}');
     for (;;) await writeWhole(process.argv[2], new Uint8Array(2 ** 28));`,
  );
  const changes = watch(folder);
  const child = spawn(process.execPath, [script, path], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const drafted = (async () => {
    for await (const { filename } of changes) if (filename?.endsWith('.tmp')) return 'a draft';
    return 'nothing';
  })();
  expect(await Promise.race([drafted, ended])).toBe('a draft');
  child.kill(signal);
  expect(await ended).toEqual([null, signal]);
  expect((await readdir(folder)).sort()).toEqual(['out', 'write.mjs']);
  expect([3, 2 ** 28]).toContain((await stat(path)).size);
});

describe('a result that cannot be written at the end', () => {
  test('is printed, goes elsewhere, and is an error all the same', async () => {
    const folder = await scratchFolder();
    const path = join(folder, 'gone', `moebius-test-${process.pid}.json`);
    const places: (string | undefined)[] = [];
    const kept = keepResult(path, 'name', 'result', (place) => {
      places.push(place);
      return Promise.resolve();
    });
    await expect(kept).rejects.toThrow(
      /cannot write .*gone.* The result is in .*moebius-test-\d+\.json instead/,
    );
    expect(places).toHaveLength(1);
    const [place = ''] = places;
    expect(await readFile(place, 'utf8')).toBe('result');
    execFileSync('rm', [place]);
  });
});

test.runIf(canBeNobody)(
  'a user without rights: a folder, a file for reading only, a file of another',
  async () => {
    const folder = await scratchFolder();
    await chmod(folder, 0o755);
    await mkdir(join(folder, 'open'));
    await chmod(join(folder, 'open'), 0o777);
    const readOnly = join(folder, 'open', 'readonly');
    const shared = join(folder, 'open', 'shared');
    await Promise.all([writeFile(readOnly, 'old'), writeFile(shared, 'old')]);
    await Promise.all([chmod(readOnly, 0o444), chmod(shared, 0o666)]);
    const script = join(folder, 'check.mjs');
    const from = (file: string): string => new URL(`../../src/cli/${file}`, import.meta.url).href;
    await writeFile(
      script,
      `import '${from('typescript.js')}';
     const { checkOutput, writeWhole } = await import('${from('files/files.ts')}');
     const told = [];
     for (const path of process.argv.slice(2)) {
       await checkOutput(path).then(() => writeWhole(path, 'new')).then(() => told.push('written'), (e) => told.push(e.message));
     }
     console.log(JSON.stringify(told));`,
    );
    const places = [join(folder, 'out'), readOnly, shared, join(folder, 'open', 'own')];
    const nobody = [
      '--reuid=nobody',
      '--regid=nogroup',
      '--clear-groups',
      process.execPath,
      script,
      ...places,
    ];
    const told = JSON.parse(execFileSync('/usr/bin/setpriv', nobody, { encoding: 'utf8' })) as string[];
    expect(told).toEqual([
      expect.stringMatching(/out: this user may not write there/),
      expect.stringMatching(/readonly: this user may not write there/),
      'written',
      'written',
    ]);
    // Still root's.
    expect(await stat(shared)).toMatchObject({ uid: 0, size: 3 });
    expect(await readFile(readOnly, 'utf8')).toBe('old');
    expect((await readdir(join(folder, 'open'))).sort()).toEqual(['own', 'readonly', 'shared']);
  },
);
