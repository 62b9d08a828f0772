/** Files that are not finished: beside their target, and gone however the work ends. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../core/errors.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const drafts = new Set<string>();

/** Renaming is refused for these reasons where writing the file itself is not. */
const ONLY_IN_PLACE = ['EACCES', 'EBUSY', 'EPERM', 'EXDEV'];

/**
 * Opens a draft beside `target` for `work`, which may put it in the target's place: then it is there at once. The
 * draft's name is short whatever the target's is. `put` is false where the target can only be written in place.
 * @param mode of the draft, less what the user's mask takes away.
 */
export async function withDraft(
  target: string,
  mode: number,
  work: (file: FileHandle, put: () => Promise<boolean>) => Promise<void>,
): Promise<void> {
  const draft = join(dirname(target), `.moebius-${randomBytes(6).toString('hex')}.tmp`);
  remember(draft);
  try {
    const file = await open(draft, 'wx', mode);
    try {
      await work(file, async () => {
        await file.close();
        return replace(draft, target);
      });
    } finally {
      await file.close();
    }
  } finally {
    // Never in the way of the error that brought us here.
    await rm(draft, { force: true }).catch(() => undefined);
    forget(draft);
  }
}

async function replace(draft: string, target: string): Promise<boolean> {
  try {
    await rename(draft, target);
    return true;
  } catch (error) {
    if (ONLY_IN_PLACE.includes(codeOf(error))) return false;
    throw error;
  }
}

function remember(draft: string): void {
  if (drafts.size === 0) for (const signal of SIGNALS) process.on(signal, endBy);
  drafts.add(draft);
}

function forget(draft: string): void {
  drafts.delete(draft);
  if (drafts.size === 0) for (const signal of SIGNALS) process.off(signal, endBy);
}

/** Removes the drafts and lets the signal do what it would have done without us. */
function endBy(signal: NodeJS.Signals): void {
  for (const draft of drafts) {
    try {
      rmSync(draft, { force: true });
    } catch {
      // It stays; the signal must not be held up by it.
    }
  }
  for (const name of SIGNALS) process.off(name, endBy);
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}
