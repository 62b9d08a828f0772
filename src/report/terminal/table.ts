/** Tables for people: plain, as wide as the reader's screen, numbers to the right. */
import Table from 'cli-table3';
import { at, maxOf, range, sum } from '../../core/math.ts';
import { cellText, WIDTH } from './style.ts';

export type Align = 'left' | 'right';

export interface Column {
  readonly head: string;
  readonly align?: Align;
  /** Left out where the table is too wide, the highest number first; a column without one always stays. */
  readonly drop?: number;
  /** Where that is not enough, longer cells are cut with an ellipsis, but not to less than this. */
  readonly least?: number;
}

const NO_BORDER = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' };
const BARE = { 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '' };
const RIGHT = { right: '', 'right-mid': '', middle: '  ' };

const INDENT = '  ';

/** Rows under a ruled head, indented by two. Every line ends without blanks. @param width that it is to fit in. */
export function drawTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = WIDTH,
): string[] {
  const cells = rows.map((row) => row.map(cellText));
  const { shown, widths } = fitted(columns, cells, width);
  const table = new Table({
    chars: { ...NO_BORDER, ...BARE, ...RIGHT },
    colAligns: shown.map((i) => at(columns, i).align ?? 'left'),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(
    shown.map((i) => at(columns, i).head),
    shown.map((i) => '-'.repeat(at(widths, i))),
  );
  for (const row of cells) table.push(shown.map((i) => cut(at(row, i), at(widths, i))));
  return table
    .toString()
    .split('\n')
    .map((line) => `${INDENT}${line}`.trimEnd());
}

/** Which columns are shown and how wide each is: columns are left out before names are cut. */
function fitted(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): { readonly shown: readonly number[]; readonly widths: readonly number[] } {
  const widths = columns.map(({ head }, i) =>
    maxOf(
      rows.map((row) => visible(at(row, i)).length),
      head.length,
    ),
  );
  let shown = range(columns.length);
  const excess = (): number =>
    INDENT.length + sum(shown.map((i) => at(widths, i))) + INDENT.length * (shown.length - 1) - width;
  const dropped = [...shown].sort((a, b) => (at(columns, b).drop ?? 0) - (at(columns, a).drop ?? 0));
  for (const i of dropped) {
    if (excess() > 0 && at(columns, i).drop !== undefined) shown = shown.filter((other) => other !== i);
  }
  while (excess() > 0) {
    const room = (i: number): number => at(widths, i) - Math.max(at(columns, i).least ?? Infinity, 2);
    const widest = shown.filter((i) => room(i) > 0).sort((a, b) => at(widths, b) - at(widths, a))[0];
    if (widest === undefined) break;
    widths[widest] = at(widths, widest) - 1;
  }
  return { shown, widths };
}

/** Names and values in two columns: the value wraps under itself. */
export function drawFacts(facts: readonly (readonly [name: string, value: string])[]): string[] {
  const indent = 4 + maxOf(facts.map(([name]) => name.length));
  return facts.flatMap(([name, value]) =>
    wrapText(cellText(value), WIDTH - indent).map(
      (line, i) => (i === 0 ? `  ${name}` : '').padEnd(indent) + line,
    ),
  );
}

/** Words broken into lines of at most `width` columns. A longer word stands alone. */
export function wrapText(text: string, width = WIDTH): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && visible(line).length + 1 + visible(word).length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A paragraph, every line behind `indent`. */
export function paragraph(text: string, indent = '  '): string[] {
  return wrapText(cellText(text), WIDTH - indent.length).map((line) => indent + line);
}

function cut(cell: string, max: number): string {
  return visible(cell).length <= max ? cell : `${cell.slice(0, max - 1)}…`;
}

/** Without the escapes of colours. */
export function visible(text: string): string {
  return text.replace(/\x1b\[[0-9;]*m/g, '');
}
