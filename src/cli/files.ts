/** Output files that are whole or absent. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError } from '../core/errors.ts';

/**
 * Refuses a place that could not be written at the end, before any work is done.
 * @param inputs files that must not be overwritten. @throws ConfigError
 */
export async function checkOutput(path: string, inputs: readonly string[] = []): Promise<void> {
  if (path === '') throw new ConfigError('the output path is empty; name a file.');
  const folder = dirname(resolve(path));
  const parent = await stat(folder).catch(() => undefined);
  if (parent?.isDirectory() !== true) {
    throw new ConfigError(`cannot write ${path}: there is no folder ${folder}. Make it first.`);
  }
  const there = await stat(resolve(path)).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isFile())
    throw new ConfigError(`cannot write ${path}: it is not a plain file. Name another one.`);
  for (const input of inputs) {
    const same = await isSameFile(path, input);
    if (same) throw new ConfigError(`${path} is the input; it must not be overwritten. Name another output.`);
  }
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([stat(resolve(a)), stat(resolve(b)).catch(() => undefined)]);
  if (other === undefined) return false;
  if (one.ino === other.ino && one.dev === other.dev && one.ino !== 0) return true;
  return (await realpath(a)) === (await realpath(b));
}

/** Writes beside the target and renames, so that a reader never sees half a file and an error leaves none. */
export async function writeWhole(path: string, bytes: Uint8Array | string): Promise<void> {
  const target = resolve(path);
  const draft = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(draft, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ConfigError(`cannot write ${path}: ${WHY[code] ?? code}. Name another place.`);
  }
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'there is no space left',
  ENAMETOOLONG: 'the name is too long',
};

export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
}
