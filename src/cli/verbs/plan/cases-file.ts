/** Tables of cases: CSV in, CSV out, a row each; what a row cannot tell is said in its note, and the rest go on. */
import { csvFormatRows, csvParseRows } from 'd3-dsv';
import { ConfigError } from '../../../core/errors.ts';
import { didYouMean } from '../../../core/text/near-names.ts';
import { printable } from '../../../core/text/printable.ts';
import { quoted } from '../../../core/text/quoted.ts';
import { cellText, OP_COLUMNS, opColumn, plain, type CaseRow } from '../../../hardware/case-columns.ts';
import { platformHere } from '../../session.ts';

/** A table of a million cases is a mistake, and fits in so many. A guess. */
const MOST_CASES_BYTES = 64 * 2 ** 20;

export interface CasesTable {
  /** As the file has them. */
  readonly headings: readonly string[];
  readonly rows: readonly CasesRow[];
}

export interface CasesRow {
  /** As the file has them. */
  readonly cells: readonly string[];
  /** By column. */
  readonly row: CaseRow;
  /** An operation; else a deployment. */
  readonly isOp: boolean;
  /** Why the row cannot be read. */
  readonly refusal?: string;
}

/** What columns there are beside those of operations. */
export interface CaseColumns {
  /** The column of a deployment that a heading names. */
  readonly of: (heading: string) => string | undefined;
  readonly names: readonly string[];
  /** Columns that the answers have: in a table that comes back they are not read, and told anew. */
  readonly answers: readonly string[];
}

/**
 * A table of cases.
 * @throws ConfigError for a file that is no table, or a heading that names no column.
 */
export async function readCases(path: string, columns: CaseColumns): Promise<CasesTable> {
  const bytes = await platformHere().readFile(path, MOST_CASES_BYTES);
  const text = new TextDecoder().decode(bytes);
  const [headings = [], ...lines] = csvParseRows(text).map((cells) => cells.map((cell) => cell.trim()));
  if (headings.length === 0) throw new ConfigError(`${path} is empty; its first line must name the columns.`);
  const known = [...new Set([...columns.names, ...OP_COLUMNS])];
  const unknown = headings.filter(
    (heading) =>
      (columns.of(heading) ?? opColumn(heading)) === undefined && !columns.answers.includes(heading),
  );
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
  return { headings, rows: filled.map((cells) => rowOf(headings, cells, columns)) };
}

/** What a row may say in the column `op` that is a deployment all the same. */
const DEPLOYMENT = new Set(['serving', 'serve', 'deployment', 'e2e', 'endtoend', 'layout']);

/**
 * Cells by column. An operation reads the columns of operations, any other row those of its own kind. Where headings of both
 * kinds name one column, as gpus and ranks, the one that says something counts, and of two the column's own name.
 */
function rowOf(headings: readonly string[], cells: readonly string[], columns: CaseColumns): CasesRow {
  const op = headings.findIndex((heading) => opColumn(heading) === 'op');
  const word = op < 0 ? undefined : cellText(cells[op]);
  const isOp = word !== undefined && !DEPLOYMENT.has(plain(word));
  const row: Record<string, string> = {};
  const from = new Map<string, string>();
  const refusals = cells.length > headings.length ? [tooMany(headings, cells)] : [];
  headings.forEach((heading, i) => {
    const cell = cells[i] ?? '';
    const column = (isOp ? (opColumn(heading) ?? columns.of(heading)) : columns.of(heading)) ?? heading;
    const before = from.get(column);
    if (before !== undefined && (cellText(cell) === undefined || plain(before) === plain(column))) {
      if (cellText(row[column]) !== undefined) return;
    }
    row[column] = cell;
    from.set(column, heading);
  });
  return { cells, row, isOp, ...(refusals[0] !== undefined && { refusal: refusals[0] }) };
}

const tooMany = ({ length: columns }: readonly string[], { length }: readonly string[]): string =>
  `the row has ${length} cells, the table ${columns} columns: put cells that hold a comma in double quotes.`;

/** A cell of the answer. */
export type Answer = Readonly<Record<string, string | number | undefined>>;

/** The columns of the file, then those of the answers; numbers with six digits. */
export function casesText(table: CasesTable, answers: readonly Answer[], columns: readonly string[]): string {
  const own = table.headings.filter((heading) => !columns.includes(heading));
  const kept = own.map((heading) => table.headings.indexOf(heading));
  const body = table.rows.map(({ cells }, i) => [
    ...kept.map((at) => printable(cells[at] ?? '')),
    ...columns.map((column) => printedCell(answers[i]?.[column])),
  ]);
  return `${csvFormatRows([[...own, ...columns], ...body])}\n`;
}

function printedCell(value: string | number | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'number' ? String(Number(value.toPrecision(6))) : printable(value);
}
