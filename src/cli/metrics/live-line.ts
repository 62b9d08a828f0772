/**
 * A line on a terminal that is rewritten while a run goes. Where text is written to the same terminal it stands below the
 * text, whose end stays where it was: the row below is made first, so that nothing scrolls between saving the place
 * and returning to it.
 */
import { isWatched } from '../progress.ts';

const [INDEX, UP, SAVE, RESTORE] = ['\x1bD', '\x1b[A', '\x1b7', '\x1b8'];
const [CLEAR_LINE, CLEAR_BELOW] = ['\x1b[2K', '\x1b[J'];

export interface LiveLine {
  /** Shows a line in place of the last one. */
  show(line: string): void;
  /** To be told of text before it is written: then the line is taken away, and `show` puts it below. */
  text(text: string): void;
  /** Takes the line away for good. */
  end(): void;
}

/** @param columns of the terminal. @param below text goes to the same terminal. */
export function liveLine(write: (text: string) => void, columns: number, below: boolean): LiveLine {
  let shown = false;
  let column = 0;
  const clear = (): void => {
    if (shown) write(below ? CLEAR_BELOW : `\r${CLEAR_LINE}`);
    shown = false;
  };
  return {
    show: (line) => {
      // After its last column a terminal waits for the next letter to wrap, which it would forget on a way down and up.
      if (below && column > 0 && column % columns === 0) return;
      const fitting = [...line].slice(0, columns - 1).join('');
      write(
        below ? `${INDEX}${UP}${SAVE}\n\r${CLEAR_LINE}${fitting}${RESTORE}` : `\r${CLEAR_LINE}${fitting}`,
      );
      shown = true;
    },
    text: (text) => {
      clear();
      const lines = text.split('\n');
      column = (lines.length > 1 ? 0 : column) + [...(lines.at(-1) ?? '')].length;
    },
    end: clear,
  };
}

/** Undefined where nobody watches: no terminal, or one that cannot. */
export function stderrLine(below: boolean): LiveLine | undefined {
  if (!isWatched()) return undefined;
  return liveLine((text) => void process.stderr.write(text), process.stderr.columns, below);
}
