/** Tables for other programs: CSV for sheets, Markdown for pages of text. */
import { csvFormatRows } from 'd3-dsv';
import { requireGiven } from '../../core/given.ts';
import { printable } from '../../core/text/printable.ts';
import { COLUMNS, type TableRow } from './rows.ts';

/** Where a sheet would take a cell for a formula. Blanks before it do not help, and our own numbers are not text. */
const FORMULA = /^[\s]*[=+\-@]|^[\t\r]/;

/** CSV (RFC 4180) with a head; every line ends. A text that a sheet would compute begins with an apostrophe. */
export function csvOf(rows: readonly TableRow[]): string {
  requireGiven('The rows', rows, 'list');
  const cells = rows.map((row) => COLUMNS.map((column) => csvCell(row[column])));
  return `${csvFormatRows([[...COLUMNS], ...cells])}\n`;
}

function csvCell(value: TableRow[keyof TableRow]): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = printable(value);
  return FORMULA.test(value) || FORMULA.test(text) ? `'${text}` : text;
}

const SHOWN = [
  'part',
  'family',
  'name',
  'variant',
  'state',
  'median',
  'low',
  'high',
  'unit',
  'samples',
] as const;
const NUMBERS: ReadonlySet<string> = new Set(['median', 'low', 'high', 'samples']);

/** A table of GitHub's Markdown under what the numbers are of. Columns that no row fills are left out. */
export function markdownOf(rows: readonly TableRow[]): string {
  requireGiven('The rows', rows, 'list');
  const runs = new Map(rows.map((row) => [row.file, row]));
  return [...runs.values()]
    .map((run) => {
      const own = rows.filter(({ file }) => file === run.file);
      const columns = [...SHOWN, 'roof_share', 'reason'].filter((column) =>
        own.some((row) => (row[column as keyof TableRow] ?? '') !== ''),
      ) as (keyof TableRow)[];
      const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
      return [
        `## ${markdownText(String(run.adapter))}`,
        '',
        markdownText(
          `${run.file}: ${run.date}, commit ${run.commit || 'none'}, driver ${run.driver}, kind ${run.kind}.`,
        ) + (run.kind === 'gpu' ? '' : " No time here is a GPU's."),
        '',
        line(columns),
        line(columns.map((column) => (NUMBERS.has(column) ? '--:' : '---'))),
        ...own.map((row) => line(columns.map((column) => markdownCell(row[column])))),
        '',
      ].join('\n');
    })
    .join('\n');
}

function markdownCell(value: TableRow[keyof TableRow]): string {
  if (value === undefined) return '';
  return typeof value === 'number' ? String(Number(value.toPrecision(6))) : markdownText(value);
}

/** Text that stays text: no markup, no HTML, no end of a cell. */
function markdownText(text: string): string {
  return printable(text)
    .replace(/[\\`*_~[\]|#!$]/g, '\\$&')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/:\/\//g, ':&#47;&#47;')
    .replace(/@/g, '&#64;');
}
