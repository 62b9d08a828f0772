/** Where words go: results to stdout, progress and complaints to stderr. */
import { writeSync } from 'node:fs';
import { printableJson } from '../core/text/printable.ts';
import { styleFor, terminalText, WIDTH, type Style } from '../report/terminal/style.ts';

/** On narrower screens lines wrap: a table of less says nothing. A guess. */
const LEAST_WIDTH = 60;

/** Colours only for eyes: a terminal, and NO_COLOR not set. */
export function wantsColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

export function stdoutStyle(): Style {
  const { isTTY, columns } = process.stdout;
  // A terminal that does not tell has no columns, or 0.
  return styleFor(wantsColour(process.stdout), isTTY && columns > 0 ? Math.max(LEAST_WIDTH, columns) : WIDTH);
}

/** sysexits.h: input or output failed. 1 would say that a check failed. */
const CANNOT_WRITE = 74;

const WHY: Readonly<Record<string, string>> = {
  ENOSPC: 'there is no space left',
  EDQUOT: 'there is no space left for this user',
  EFBIG: 'the file would be too large',
  EIO: 'the device fails',
  EBADF: 'it is closed or open for reading only',
};

/**
 * Ends the process when what it has to say can no longer be said. A reader that closes its pipe early
 * (`moebius layout | head`) has had enough; a full disk is an error, told on stderr.
 */
function endWithoutOutput(error: NodeJS.ErrnoException): never {
  if (error.code === 'EPIPE') process.exit(0);
  const why = WHY[error.code ?? ''] ?? error.code ?? error.message;
  try {
    writeSync(2, `moebius: cannot write to stdout: ${why}. What was printed is not whole.\n`);
  } catch {
    // Nobody can be told; the exit code says it.
  }
  process.exit(CANNOT_WRITE);
}

/** Writes and waits until it has left the process. Without stderr there is nobody to complain to, but work to be done. */
export function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, (error?: Error | null) => {
      if (error && stream === process.stdout) endWithoutOutput(error);
      resolve();
    });
  });
}

/** From here on a stream that fails is no exception: see `endWithoutOutput`. */
export function watchOutput(): void {
  process.stdout.on('error', endWithoutOutput);
  process.stderr.on('error', () => undefined);
}

/** Lines for people: control characters that came from files are shown as escapes, our own colours stay. */
export async function printLines(lines: readonly string[]): Promise<void> {
  await write(process.stdout, lines.map((line) => `${terminalText(line)}\n`).join(''));
}

/** A line for stderr. */
export function complain(line: string): Promise<void> {
  return write(process.stderr, `${terminalText(line)}\n`);
}

let jsonPrinted = false;

/** Whether stdout holds its one object already. */
export function hasPrintedJson(): boolean {
  return jsonPrinted;
}

export async function printJson(value: unknown): Promise<void> {
  jsonPrinted = true;
  await write(process.stdout, `${printableJson(JSON.stringify(value, null, 2))}\n`);
}
