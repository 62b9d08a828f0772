/** Measured curves as text: two characters a time, so that a package can carry them. */
import { invariant } from '../../core/errors.ts';

/** Printable characters that need no escape, mean nothing to a key, and never spell a path. */
const ALPHABET = Array.from({ length: 87 }, (_, i) => String.fromCharCode(40 + i))
  .filter((char) => !'/;\\`'.includes(char))
  .join('');
const CODES = ALPHABET.length ** 2;
/** us: nothing on a GPU is faster, nothing here slower. */
const FASTEST_US = 0.5;
const SLOWEST_US = 1e7;
/** Steps of a logarithmic scale: a time is off by half of one at most, 0.13 %. Code 0 is "not measured". */
const STEP = Math.log(SLOWEST_US / FASTEST_US) / (CODES - 2);

/** Times by the sizes of `knots`; NaN where one was not measured. */
export function packed(us: readonly number[]): string {
  return us
    .map((value) => {
      if (!(value > 0)) return ALPHABET.charAt(0).repeat(2);
      const step = Math.round(Math.log(value / FASTEST_US) / STEP);
      const code = 1 + Math.min(CODES - 2, Math.max(0, step));
      return ALPHABET.charAt(Math.floor(code / ALPHABET.length)) + ALPHABET.charAt(code % ALPHABET.length);
    })
    .join('');
}

/** The logarithms of the times that `packed` was given. */
export function unpackedLogs(text: string): Float64Array {
  const logs = new Float64Array(text.length / 2);
  for (let i = 0; i < logs.length; i++) {
    const high = ALPHABET.indexOf(text.charAt(2 * i));
    const low = ALPHABET.indexOf(text.charAt(2 * i + 1));
    invariant(high >= 0 && low >= 0, () => `a packed curve holds ${text.slice(2 * i, 2 * i + 2)}`);
    const code = high * ALPHABET.length + low;
    logs[i] = code === 0 ? NaN : Math.log(FASTEST_US) + (code - 1) * STEP;
  }
  return logs;
}

/** A table as a module of `data` holds it: rows `key curve;`, a key being the columns' values with commas. */
export interface PackedTable {
  /** Project, commit and licence that the measurements are from. */
  readonly source: string;
  readonly columns: readonly string[];
  /** Sizes that the times of a row belong to: rows of a product, tokens, bytes, positions. */
  readonly knots: readonly number[];
  readonly rows: string;
}

/** One row: its key by column, and the logarithm of us at each knot. */
export interface CurveRow {
  readonly key: Readonly<Record<string, string>>;
  readonly logs: Float64Array;
}

/** All rows of a table. */
export function rowsOf(table: PackedTable): CurveRow[] {
  return table.rows
    .split(';')
    .filter((row) => row !== '')
    .map((row) => {
      const [key = '', curve = ''] = row.split(' ');
      const values = key.split(',');
      return {
        key: Object.fromEntries(table.columns.map((column, i) => [column, values[i] ?? ''])),
        logs: unpackedLogs(curve),
      };
    });
}
