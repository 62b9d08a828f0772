/** Where files are kept between runs: a folder that this user alone may write, since libraries are loaded from it. */
import { access, constants, mkdtemp, stat } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { ConfigError } from '../../core/errors.ts';
import { makeFolders } from './folders.ts';

/** True for a folder that is ours alone to write. */
async function usable(folder: string): Promise<boolean> {
  try {
    await makeFolders(folder, 0o700);
    await access(folder, constants.W_OK | constants.X_OK);
    const { uid, mode } = await stat(folder);
    return process.getuid === undefined || (uid === process.getuid() && (mode & 0o002) === 0);
  } catch {
    return false;
  }
}

/** A user without an entry in the system's list of users has no home, and asking for it throws. */
function homeCache(): string | undefined {
  const named = process.env.XDG_CACHE_HOME;
  // The rule of XDG: a relative path is to be ignored.
  if (named !== undefined && isAbsolute(named)) return named;
  try {
    return join(homedir(), '.cache');
  } catch {
    return undefined;
  }
}

function temporaryFolders(): string[] {
  return [...new Set([tmpdir(), ...(process.platform === 'win32' ? [] : ['/tmp', '/var/tmp'])])];
}

/**
 * `$XDG_CACHE_HOME/moebius` or `~/.cache/moebius`, else one below a folder for temporary files, the same in each run;
 * undefined where none of them can be written.
 */
export async function cacheFolder(): Promise<string | undefined> {
  const home = homeCache();
  const mine = `moebius-${process.getuid?.() ?? 'user'}`;
  const places = [
    ...(home === undefined ? [] : [join(home, 'moebius')]),
    ...temporaryFolders().map((folder) => join(folder, mine)),
  ];
  for (const place of places) if (await usable(place)) return place;
  return undefined;
}

/** As `cacheFolder`, else a new one for this run. @param what is to be kept there. @throws ConfigError where nothing can be written. */
export async function anyFolder(what: string): Promise<string> {
  const kept = await cacheFolder();
  if (kept !== undefined) return kept;
  for (const folder of temporaryFolders()) {
    const made = await mkdtemp(join(folder, 'moebius-')).catch(() => undefined);
    if (made !== undefined) return made;
  }
  const tried = [homeCache(), ...temporaryFolders()].filter((place) => place !== undefined);
  throw new ConfigError(
    `there is no folder to unpack ${what} into: this user may write in none of ${tried.join(', ')}. ` +
      'Set XDG_CACHE_HOME to a folder of your own.',
  );
}
