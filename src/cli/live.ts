/**
 * A step on a terminal: a line with its title that turns, and below it what it is at. Nothing of the terminal's state
 * is changed - the cursor stays visible and waits on the line below - so a process may end at any moment, by whatever
 * signal, and leave it as it was.
 */
import { printable } from '../core/printable.ts';
import type { Style } from '../report/style.ts';

export interface Terminal {
  readonly columns: number;
  write(text: string): unknown;
}

export interface LiveStep {
  say(text: string): void;
  /** Leaves one line behind. */
  end(line: string): void;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;

export function startStep(terminal: Terminal, title: string, style: Style): LiveStep {
  let said = '';
  let frame = 0;
  let drawn = 0;
  const draw = (lines: readonly string[]): void => {
    const up = drawn === 0 ? '' : `\x1b[${drawn}A`;
    terminal.write(`${up}\x1b[J${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
  };
  const fitted = (text: string, indent: number): string => fit(text, terminal.columns - indent - 1);
  const refresh = (): void => {
    const mark = FRAMES[frame++ % FRAMES.length] ?? '';
    const below = said === '' ? [] : [style.dim(`  › ${fitted(said, 4)}`)];
    draw([`${style.warn(mark)} ${fitted(title, 2)}`, ...below]);
  };
  refresh();
  const timer = setInterval(refresh, FRAME_MS);
  timer.unref();
  let last = performance.now();
  return {
    say(text) {
      said = text;
      // Work that never lets a timer run still says what it is at.
      if (performance.now() - last < FRAME_MS) return;
      last = performance.now();
      refresh();
    },
    end(line) {
      clearInterval(timer);
      draw([line]);
    },
  };
}

/** One line of at most `width` columns: a longer one would wrap, and more lines would have to be taken back than were written. */
function fit(text: string, width: number): string {
  const line = printable(text);
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
