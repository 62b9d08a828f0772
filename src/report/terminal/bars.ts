/** Small bars of shares, for a glance. */
import { maxOf } from '../../core/math.ts';
import { cellText, WIDTH } from './style.ts';

export interface BarRow {
  readonly name: string;
  /** Of 1; the longest bar is that of the largest. */
  readonly share: number;
  /** The number that the bar repeats. */
  readonly text: string;
}

/** Columns of a name. A guess. */
const MOST_NAME = 28;
const FULL = '█';
/** Eighths of a character. */
const PARTS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A line each: name, number, bar. */
export function drawBars(rows: readonly BarRow[], width = WIDTH): string[] {
  const names = rows.map(({ name }) => shortened(cellText(name)));
  const nameWidth = maxOf(
    names.map((name) => name.length),
    0,
  );
  const textWidth = maxOf(
    rows.map(({ text }) => text.length),
    0,
  );
  const room = Math.max(0, width - nameWidth - textWidth - 6);
  const most = maxOf(
    rows.map(({ share }) => share),
    0,
  );
  return rows.map(({ share, text }, i) => {
    const name = (names[i] ?? '').padEnd(nameWidth);
    return `  ${name}  ${text.padStart(textWidth)}  ${bar(most > 0 ? share / most : 0, room)}`.trimEnd();
  });
}

/** bar(0.5, 4) = '██' */
export function bar(share: number, width: number): string {
  const eighths = Math.round(8 * width * Math.min(1, Math.max(0, share)));
  return FULL.repeat(Math.floor(eighths / 8)) + (PARTS[eighths % 8] ?? '');
}

function shortened(name: string): string {
  return name.length <= MOST_NAME ? name : `${name.slice(0, MOST_NAME - 1)}…`;
}
