import { at, maxOf, range } from '../core/math.ts';
import type { Run } from './layout.ts';

/** Small text helpers of the layout's explanation. */
export const TEXT_WIDTH = 80;

/** Words broken into lines of at most 80 columns; the first line starts with `first`, the others with `rest`. */
export function wrap(text: string, first: string, rest: string): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > TEXT_WIDTH) {
      lines.push(line);
      line = rest;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

/** plural(1, 'rank') = '1 rank', plural(2, 'rank') = '2 ranks' */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** '5' or '8-15'; '-' without any. */
export function formatRun({ first, count }: Run): string {
  if (count === 0) return '-';
  return count === 1 ? String(first) : `${first}-${first + count - 1}`;
}

/** '0-3', '0, 5, 7', '0, 1, 2 ... 31' */
export function formatIds(ids: readonly number[]): string {
  if (ids.length === 0) return 'none';
  const first = at(ids, 0);
  if (ids.every((id, i) => id === first + i)) return formatRun({ first, count: ids.length });
  return ids.length > 6 ? `${ids.slice(0, 3).join(', ')} ... ${ids.at(-1)}` : ids.join(', ');
}

/** '36 and 37', '32-47', '5, 21, 37 and 53', '0, 2, 4 ... 62' */
export function formatRanks(ranks: readonly number[]): string {
  const first = at(ranks, 0);
  const isRun = ranks.every((rank, i) => rank === first + i);
  if (isRun && ranks.length !== 2) return formatRun({ first, count: ranks.length });
  if (ranks.length > 6) return `${ranks.slice(0, 3).join(', ')} ... ${ranks.at(-1)}`;
  return `${ranks.slice(0, -1).join(', ')} and ${ranks.at(-1)}`;
}

/** Rows of equally many cells, right-aligned, two blanks between columns and before the first. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = range(at(rows, 0).length).map((i) => maxOf(rows.map((row) => at(row, i).length)));
  return rows.map((row) => row.map((cell, i) => '  ' + cell.padStart(at(widths, i))).join(''));
}
