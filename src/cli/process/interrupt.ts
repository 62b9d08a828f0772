/**
 * Ctrl-C. The first calls the work on the device off, which keeps what is finished and frees the rest; the second ends the
 * process at once. Both leave the exit code that shells give to an interrupted program.
 */
import { writeSync } from 'node:fs';

/** 128 and the number of SIGINT. */
export const INTERRUPTED = 130;

const controller = new AbortController();
let ours = false;
let watching = false;
let count = 0;

/** Called by a program of this project: its signals are its own. Who imports the verbs keeps his. */
export function ownInterrupts(): void {
  ours = true;
}

/** Aborted by Ctrl-C in a program of ours; undefined elsewhere. Until it is asked for, Ctrl-C ends the process. */
export function interruption(): AbortSignal | undefined {
  if (!ours) return undefined;
  if (!watching) process.on('SIGINT', interrupted);
  watching = true;
  return controller.signal;
}

function interrupted(): void {
  count += 1;
  if (count > 1) process.exit(INTERRUPTED);
  try {
    writeSync(2, 'moebius: ending, what is finished is kept; Ctrl-C again ends at once.\n');
  } catch {
    // Nobody reads it.
  }
  controller.abort(new Error('interrupted'));
  // From then on the system itself ends the process, whatever the thread is busy with; one that came with this counts too.
  setImmediate(() => process.off('SIGINT', interrupted));
}
