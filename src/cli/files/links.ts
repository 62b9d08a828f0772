/** Where a path leads. */
import { readlink, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { codeOf } from '../../core/errors.ts';

/** As many as Linux follows, see path_resolution(7). */
const MOST_LINKS = 40;

/** Facts of what is there; undefined when nothing is. @throws a system's error for anything else. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The place behind all links, also when the last of them leads to what is not there yet. @throws a system's error. */
export async function behindLinks(path: string): Promise<string> {
  let place = resolve(path);
  for (let i = 0; i < MOST_LINKS; i++) {
    place = join(await realpath(dirname(place)), basename(place));
    const next = await readlink(place).catch((error: unknown) => {
      if (['EINVAL', 'ENOENT', 'UNKNOWN'].includes(codeOf(error))) return undefined;
      throw error;
    });
    if (next === undefined) return place;
    place = resolve(dirname(place), next);
  }
  throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
}
