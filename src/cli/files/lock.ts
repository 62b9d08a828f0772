/** One process at a time: for the moment in which a file is read, changed and written again. */
import { createHash } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf, ConfigError } from '../../core/errors.ts';
import { behindLinks } from './links.ts';

/** The work behind a lock takes milliseconds; whoever has held it so long is gone, wherever it ran. A guess. */
const STALE_MS = 10_000;
/** How long one waits for a lock: longer than it takes to become stale. */
const PATIENCE_MS = 20_000;
/** Between two looks at a lock. A guess. */
const TURN_MS = 20;

/**
 * Runs `work` while no other process runs its own for the same file. @throws ConfigError when the lock stays taken, or a
 * system's error when there can be none.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const target = await behindLinks(path);
  const id = createHash('sha256').update(basename(target)).digest('hex').slice(0, 12);
  const lock = join(dirname(target), `.moebius-${id}.lock`);
  const mine = `${process.pid} ${hostname()}`;
  const end = performance.now() + PATIENCE_MS;
  while (!(await take(lock, mine))) {
    await breakStale(lock);
    if (performance.now() > end) {
      throw new ConfigError(`another run keeps ${path} locked. Remove ${lock} if there is none.`);
    }
    await pause(TURN_MS);
  }
  try {
    return await work();
  } finally {
    // Unless somebody took it for stale.
    if ((await ownerOf(lock)) === mine) await rm(lock, { force: true }).catch(() => undefined);
  }
}

async function take(lock: string, mine: string): Promise<boolean> {
  try {
    const file = await open(lock, 'wx');
    try {
      await file.writeFile(mine);
    } catch (error) {
      // A full disk has room for a name: nobody would own it.
      await rm(lock, { force: true }).catch(() => undefined);
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function breakStale(lock: string): Promise<void> {
  const owner = await ownerOf(lock);
  if (owner === undefined || !(await isStale(lock, owner))) return;
  // Of several who find it stale one gets to rename it. It may be another one by now: then it goes back.
  const aside = `${lock}.${process.pid}`;
  try {
    await rename(lock, aside);
    if ((await ownerOf(aside)) === owner) await rm(aside, { force: true });
    else await rename(aside, lock);
  } catch {
    // Another one was faster.
  }
}

async function isStale(lock: string, owner: string): Promise<boolean> {
  const [pid = '', host] = owner.split(' ');
  if (host === hostname() && /^\d+$/.test(pid) && !isAlive(Number(pid))) return true;
  const facts = await stat(lock).catch(() => undefined);
  return facts !== undefined && Date.now() - facts.mtimeMs > STALE_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

async function ownerOf(lock: string): Promise<string | undefined> {
  return readFile(lock, 'utf8').catch(() => undefined);
}
