/**
 * Dawn's native code prints warnings about limits straight to file descriptor 2 while it lists adapters. They say
 * nothing to our user and would stand before every error message, so the descriptor points nowhere meanwhile.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

/** Runs `work` without what native code prints to stderr. MOEBIUS_DEBUG=1 leaves everything as it is. */
export async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const kept = process.platform === 'linux' && !process.env.MOEBIUS_DEBUG ? keepStderr() : undefined;
  if (kept === undefined) return work();
  redirect('/dev/null');
  try {
    return await work();
  } finally {
    redirect(`/proc/self/fd/${kept}`);
    closeSync(kept);
  }
}

const O_APPEND = 0o2000;

/**
 * A second descriptor of what stderr is now; undefined where opening it again would not be the same. A socket cannot
 * be opened; a plain file opened twice has two positions, and what others write to it later would overwrite ours.
 */
function keepStderr(): number | undefined {
  try {
    const [, flags = '0'] = /^flags:\s*(\d+)$/m.exec(readFileSync('/proc/self/fdinfo/2', 'utf8')) ?? [];
    if (fstatSync(2).isFile() && (parseInt(flags, 8) & O_APPEND) === 0) return undefined;
    return openSync('/proc/self/fd/2', 'a');
  } catch {
    return undefined;
  }
}

/** The lowest free number is given to what is opened next, which is 2 once 2 is closed. */
function redirect(target: string): void {
  closeSync(2);
  openSync(target, 'a');
}
