/** Making folders. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../core/errors.ts';

/**
 * Makes a folder with those above it. @returns the outermost that was not there, undefined when all were. @throws a
 * system's error. (Node's own `recursive` tries for ever where a folder is there and none can be made in it, as in /proc.)
 */
export async function makeFolders(path: string, mode = 0o777): Promise<string | undefined> {
  try {
    await mkdir(path, mode);
    return path;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return undefined;
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path || (await isThere(parent))) throw error;
    const outermost = await makeFolders(parent, mode);
    await mkdir(path, mode).catch((later: unknown) => {
      // Another process was faster.
      if (codeOf(later) !== 'EEXIST') throw later;
    });
    return outermost ?? path;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
