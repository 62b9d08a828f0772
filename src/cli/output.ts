/** Where words go: results to stdout, progress and complaints to stderr. */
import { styleFor, type Style } from '../report/style.ts';

/** Colours only for eyes: a terminal, and NO_COLOR not set. */
export function wantsColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

export function stdoutStyle(): Style {
  return styleFor(wantsColour(process.stdout));
}

/** Writes and waits until it has left the process. A reader that has gone away is no error: there is nobody to tell. */
export function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, () => resolve());
  });
}

/** Ends the process when a reader closes its pipe early (`moebius bench | head`). */
export function endWhenReaderLeaves(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}

export async function printLines(lines: readonly string[]): Promise<void> {
  await write(process.stdout, `${lines.join('\n')}\n`);
}

export async function printJson(value: unknown): Promise<void> {
  await write(process.stdout, `${JSON.stringify(value, null, 2)}\n`);
}
