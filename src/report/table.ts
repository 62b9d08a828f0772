/** Tables for people: plain, at most 80 columns, numbers to the right. */
import Table from 'cli-table3';
import { at, range } from '../core/math.ts';
import { cellText } from './style.ts';

export const WIDTH = 80;

export type Align = 'left' | 'right';

export interface Column {
  readonly head: string;
  readonly align?: Align;
  /** Cells longer than this are cut with an ellipsis. */
  readonly max?: number;
}

const NO_BORDER = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '' };
const BARE = { 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '' };
const RIGHT = { right: '', 'right-mid': '', middle: '  ' };

/** Rows under a ruled head, indented by two. Every line ends without blanks. */
export function drawTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell, i) => cut(cellText(cell), at(columns, i).max ?? WIDTH)));
  const widths = range(columns.length).map((i) =>
    Math.max(at(columns, i).head.length, ...cells.map((row) => visible(at(row, i)).length)),
  );
  const table = new Table({
    chars: { ...NO_BORDER, ...BARE, ...RIGHT },
    colAligns: columns.map(({ align }) => align ?? 'left'),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(
    columns.map(({ head }) => head),
    widths.map((width) => '-'.repeat(width)),
    ...cells.map((row) => [...row]),
  );
  return table
    .toString()
    .split('\n')
    .map((line) => `  ${line}`.trimEnd());
}

/** Names and values in two columns: the value wraps under itself. */
export function drawFacts(facts: readonly (readonly [name: string, value: string])[]): string[] {
  const indent = 4 + Math.max(...facts.map(([name]) => name.length));
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
