/** Tables of cases: CSV in, CSV out, a row each; what a row cannot tell is said in its note, and the rest go on. */
import { csvFormatRows, csvParseRows } from 'd3-dsv';
import { ConfigError } from '../../../core/errors.ts';
import { didYouMean } from '../../../core/text/near-names.ts';
import { printable } from '../../../core/text/printable.ts';
import { quoted } from '../../../core/text/quoted.ts';
import { OP_COLUMNS, opColumn, type CaseRow } from '../../../hardware/cases.ts';
import { platformHere } from '../../session.ts';

/** A table of a million cases is a mistake, and fits in so many. A guess. */
const MOST_CASES_BYTES = 64 * 2 ** 20;

export interface CasesTable {
  /** As the file has them. */
  readonly headings: readonly string[];
  readonly rows: readonly { readonly cells: readonly string[]; readonly row: CaseRow }[];
}

/**
 * A table of cases. @param columnOf the column that a heading names, for rows that are no operations.
 * @throws ConfigError for a file that is no table, or a heading that names no column.
 */
export async function readCases(
  path: string,
  columnOf: (heading: string) => string | undefined,
  columns: readonly string[],
): Promise<CasesTable> {
  const bytes = await platformHere().readFile(path, MOST_CASES_BYTES);
  const text = new TextDecoder().decode(bytes);
  const [headings = [], ...lines] = csvParseRows(text).map((cells) => cells.map((cell) => cell.trim()));
  if (headings.length === 0) throw new ConfigError(`${path} is empty; its first line must name the columns.`);
  const known = [...new Set([...columns, ...OP_COLUMNS])];
  const unknown = headings.filter((heading) => (columnOf(heading) ?? opColumn(heading)) === undefined);
  const [first] = unknown;
  if (first !== undefined) {
    throw new ConfigError(
      `${path} has ${unknown.length === 1 ? 'a column' : 'columns'} ${unknown.map((name) => quoted(name)).join(', ')} that no case has` +
        `${didYouMean(first, known)}. There are: ${known.join(', ')}.`,
    );
  }
  const twice = headings.find((heading, i) => headings.indexOf(heading) !== i);
  if (twice !== undefined) throw new ConfigError(`${path} has the column ${quoted(twice)} twice.`);
  const filled = lines.filter((cells) => cells.some((cell) => cell !== ''));
  return { headings, rows: filled.map((cells) => ({ cells, row: rowOf(headings, cells, columnOf) })) };
}

/** Cells by column. An operation reads the columns of operations, any other row those of its own kind. */
function rowOf(
  headings: readonly string[],
  cells: readonly string[],
  columnOf: (heading: string) => string | undefined,
): CaseRow {
  const at = headings.findIndex((heading) => opColumn(heading) === 'op');
  const isOp = at >= 0 && (cells[at] ?? '') !== '';
  return Object.fromEntries(
    headings.map((heading, i) => {
      const column = (isOp ? (opColumn(heading) ?? columnOf(heading)) : columnOf(heading)) ?? heading;
      return [column, cells[i] ?? ''];
    }),
  );
}

/** A cell of the answer. */
export type Answer = Readonly<Record<string, string | number | undefined>>;

/** The columns of the file, then those of the answers; numbers with six digits. */
export function casesText(table: CasesTable, answers: readonly Answer[], columns: readonly string[]): string {
  const own = table.headings.filter((heading) => !columns.includes(heading));
  const kept = own.map((heading) => table.headings.indexOf(heading));
  const body = table.rows.map(({ cells }, i) => [
    ...kept.map((at) => printable(cells[at] ?? '')),
    ...columns.map((column) => cellText(answers[i]?.[column])),
  ]);
  return `${csvFormatRows([[...own, ...columns], ...body])}\n`;
}

function cellText(value: string | number | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'number' ? String(Number(value.toPrecision(6))) : printable(value);
}
