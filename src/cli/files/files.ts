/** Output files that are whole or absent, in places that were tried before any work. */
import type { Stats } from 'node:fs';
import { access, constants, open, readlink, realpath, rmdir, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, resolve, sep } from 'node:path';
import { codeOf, ConfigError } from '../../core/errors.ts';
import { makeFolders } from '../../platform/node/folders.ts';
import { withDraft } from './draft.ts';
import { behindLinks, statOf } from './links.ts';

/** What to do about a place that cannot be written, when a command has an option for it. */
export const OTHER_OUT = 'Name another place with --out.';
const OTHER_PLACE = 'Name another place.';

export interface OutputRules {
  /** Files that must not be overwritten. */
  readonly inputs?: readonly string[];
  /** The last sentence of a refusal: the option that names another place. */
  readonly remedy?: string;
}

/**
 * Refuses a place that could not be written at the end, before any work is done: a file is made beside it, filled with
 * a few bytes, and removed again. @throws ConfigError
 */
export async function checkOutput(path: string, rules: OutputRules = {}): Promise<void> {
  const { inputs = [], remedy = OTHER_PLACE } = rules;
  if (path === '') throw new ConfigError(`the output path is empty; name a file. ${remedy}`);
  if (path.endsWith('/') || path.endsWith(sep)) {
    throw new ConfigError(`cannot write ${path}: that is the name of a folder, not of a file. ${remedy}`);
  }
  await refusing(path, remedy, async () => {
    const target = await targetOf(path, remedy);
    for (const input of inputs) {
      if (await isSameFile(target, input))
        throw new ConfigError(`${path} is the input; it must not be overwritten. ${remedy}`);
    }
    const there = await statOf(target);
    if (there !== undefined) await access(target, constants.W_OK);
    await withDraft(target, NEW, (file) => file.writeFile(TRIAL));
  });
}

/** Modes of drafts, before the user's mask. */
const [NEW, PRIVATE] = [0o666, 0o600];

/** A full disk often has room for a name and none for what belongs to it. One block of most file systems. */
const TRIAL = new Uint8Array(4096);

/** As `checkOutput` for a folder that the output's own name is not yet known in; what had to be made is removed again. */
export async function checkFolder(folder: string, remedy = OTHER_PLACE): Promise<void> {
  await refusing(resolve(folder), remedy, async () => {
    const made = await makeFolders(resolve(folder));
    try {
      await withDraft(resolve(folder, 'result'), NEW, (file) => file.writeFile(TRIAL));
    } finally {
      if (made !== undefined) await removeEmpty(resolve(folder), made);
    }
  });
}

async function removeEmpty(folder: string, outermost: string): Promise<void> {
  for (let at = folder; at.length >= outermost.length; at = dirname(at))
    await rmdir(at).catch(() => undefined);
}

async function isSameFile(target: string, input: string): Promise<boolean> {
  const [one, other] = await Promise.all([statOf(target), statOf(resolve(input)).catch(() => undefined)]);
  if (one === undefined || other === undefined) return false;
  if (one.ino === other.ino && one.dev === other.dev && one.ino !== 0) return true;
  return target === (await realpath(input));
}

/** The plain file, there or not, that a path leads to. @throws a system's error, or ConfigError for what is no plain file. */
async function targetOf(path: string, remedy: string): Promise<string> {
  const seen = await statOf(resolve(path));
  if (seen !== undefined && !seen.isFile()) {
    const what = seen.isDirectory() ? 'it is a folder' : 'it is not a plain file';
    throw new ConfigError(`cannot write ${path}: ${what}. ${remedy}`);
  }
  return behindLinks(path);
}

/** All at once, or in pieces: made anew each time they are asked for. */
export type Contents = Uint8Array | string | AsyncIterable<Uint8Array>;

/**
 * Writes beside the target and renames, so that a reader never sees half a file and an error leaves none. A link stays
 * a link, and the file behind it keeps its mode and owner. @param remedy the last sentence of a refusal.
 */
export async function writeWhole(path: string, bytes: Contents, remedy = OTHER_PLACE): Promise<void> {
  await refusing(path, remedy, async () => {
    const target = await targetOf(path, remedy);
    const there = await statOf(target);
    // What may be private is never for all to read, not even while it is being written.
    await withDraft(target, there === undefined ? NEW : PRIVATE, async (file, put) => {
      const alike = there === undefined || (there.nlink === 1 && (await takesAfter(file, there)));
      await file.writeFile(bytes as Parameters<FileHandle['writeFile']>[0]);
      await file.sync();
      if (alike && (await put())) return;
      // Another name of the same file, another owner, a mount: these only stay what they are when written in place.
      await writeInPlace(target, bytes);
    });
  });
}

async function wholeOf(contents: Contents): Promise<Uint8Array> {
  if (typeof contents === 'string') return Buffer.from(contents);
  if (contents instanceof Uint8Array) return contents;
  const pieces: Uint8Array[] = [];
  for await (const piece of contents) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Whether the draft could be given owner and mode of the file that it replaces. */
async function takesAfter(draft: FileHandle, there: Stats): Promise<boolean> {
  try {
    const own = await draft.stat();
    if (own.uid !== there.uid || own.gid !== there.gid) await draft.chown(there.uid, there.gid);
    await draft.chmod(there.mode & 0o7777);
    return true;
  } catch {
    return false;
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function writeInPlace(target: string, bytes: Contents): Promise<void> {
  const file = await open(target, 'r+');
  try {
    const whole = await wholeOf(bytes);
    const before = (await file.stat()).size;
    try {
      // What makes the file longer goes first: where there is no room for it, what was there is still whole.
      await writeAt(file, whole.subarray(before), before);
      await file.sync();
    } catch (error) {
      await file.truncate(before);
      throw error;
    }
    await writeAt(file, whole.subarray(0, before), 0);
    await file.truncate(whole.length);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Passes the system's errors on as one sentence about the place, a ConfigError. @param remedy its last sentence. */
export async function refusing<T>(path: string, remedy: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (code === '' || error instanceof ConfigError) throw error;
    throw new ConfigError(`cannot write ${path}: ${await reasonOf(code, path)}. ${remedy}`);
  }
}

async function reasonOf(code: string, path: string): Promise<string> {
  const folder = dirname(resolve(path));
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const leads = await readlink(resolve(path)).catch(() => undefined);
    if (leads !== undefined) return `it is a link to ${leads}, and there is no folder for that`;
    const parent = await stat(folder).catch(() => undefined);
    if (parent === undefined) return `there is no folder ${folder}`;
    return parent.isDirectory()
      ? `no file ${basename(path)} can be made in ${folder}`
      : `${folder} is a file, not a folder`;
  }
  return WHY[code] ?? code;
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'there is no space left',
  EDQUOT: 'there is no space left for this user',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'it is a link to itself',
  EISDIR: 'it is a folder',
  EEXIST: 'it is a file, not a folder',
  EFBIG: 'a file there may not be so large',
  ERR_INVALID_ARG_VALUE: 'the name holds a zero byte',
};

export async function makeFolder(path: string, remedy = OTHER_PLACE): Promise<void> {
  await refusing(path, remedy, async () => void (await makeFolders(resolve(path))));
}
