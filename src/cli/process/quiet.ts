/**
 * Dawn's native code prints warnings about limits straight to file descriptor 2 while it lists adapters, and drivers
 * theirs. They say nothing to our user and would stand before every error message, so the descriptor points nowhere
 * meanwhile.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

let ours = false;

/** Called by a program of this project: the process and its stderr are its own. Who imports the verbs keeps his stderr. */
export function ownStderr(): void {
  ours = process.platform === 'linux' && !process.env.MOEBIUS_DEBUG;
}

/** In a program of ours, runs `work` without what native code prints to stderr. MOEBIUS_DEBUG=1 leaves everything as it is. */
export async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const kept = ours ? await keepStderr() : undefined;
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
 * be opened. A plain file opened twice has two positions, and what others write to it later would overwrite ours: all
 * must append (`2>> log` does, `2> log` does not by itself).
 */
async function keepStderr(): Promise<number | undefined> {
  try {
    if (fstatSync(2).isFile() && !appends()) {
      await makeAppending();
      if (!appends()) return undefined;
    }
    return openSync('/proc/self/fd/2', 'a');
  } catch {
    return undefined;
  }
}

function appends(): boolean {
  const [, flags = '0'] = /^flags:\s*(\d+)$/m.exec(readFileSync('/proc/self/fdinfo/2', 'utf8')) ?? [];
  return (parseInt(flags, 8) & O_APPEND) !== 0;
}

/**
 * Sets O_APPEND on what stderr is, for all who have it open. Node has no fcntl, but its WASI has: `fd_fdstat_set_flags`.
 * WASI calls itself experimental in a warning on stderr, which would be the very noise that is to be kept out.
 */
async function makeAppending(): Promise<void> {
  const warn = Object.getOwnPropertyDescriptor(process, 'emitWarning');
  process.emitWarning = () => undefined;
  try {
    const { WASI } = await import('node:wasi');
    const wasi = new WASI({ version: 'preview1', stderr: 2 });
    wasi.initialize({ exports: { memory: new WebAssembly.Memory({ initial: 1 }) } });
    const { fd_fdstat_set_flags: setFlags } = wasi.wasiImport as Record<
      string,
      (fd: number, flags: number) => number
    >;
    setFlags?.(2, WASI_APPEND);
  } finally {
    if (warn !== undefined) Object.defineProperty(process, 'emitWarning', warn);
  }
}

const WASI_APPEND = 1;

/** The lowest free number is given to what is opened next, which is 2 once 2 is closed. */
function redirect(target: string): void {
  closeSync(2);
  openSync(target, 'a');
}
