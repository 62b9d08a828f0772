/** Parts of quantised matrices. Values and scales are copied, never made anew: a part holds the whole's numbers. */
import { ConfigError, invariant } from '../core/errors.ts';
import { at, sum } from '../core/math.ts';
import { BLOCK, type QuantisedMatrix, rowsAndDepth } from './quantised.ts';

interface Run {
  readonly first: number;
  readonly count: number;
}

/** Rows [first, first + count) of a matrix. */
export function quantisedRows(matrix: QuantisedMatrix, { first, count }: Run): QuantisedMatrix {
  const { rows, depth } = rowsAndDepth(matrix.shape);
  const part = <Data extends Int8Array | Uint8Array | Float32Array>(all: Data): Data => {
    const perRow = all.length / rows;
    return all.slice(first * perRow, (first + count) * perRow) as Data;
  };
  return { ...matrix, shape: [count, depth], data: part(matrix.data), scales: part(matrix.scales) };
}

/**
 * Columns [first, first + count) of a matrix. int8 keeps the scales of whole rows.
 * @throws ConfigError when blocks would be cut apart.
 */
export function quantisedColumns(matrix: QuantisedMatrix, { first, count }: Run): QuantisedMatrix {
  const { format } = matrix;
  const { rows, depth } = rowsAndDepth(matrix.shape);
  if (format !== 'int8' && (first % BLOCK !== 0 || count % BLOCK !== 0)) {
    throw new ConfigError(
      `Columns ${first} to ${first + count - 1} of a matrix in ${format} cut its blocks of ${BLOCK} values apart; ` +
        `parts must be multiples of ${BLOCK}. Use fewer TP ranks, or int8 weights.`,
    );
  }
  const part = <Data extends Int8Array | Uint8Array | Float32Array>(all: Data): Data => {
    const perRow = all.length / rows;
    const [begin, width] = [(first * perRow) / depth, (count * perRow) / depth];
    const made = emptyLike(all, rows * width);
    for (let row = 0; row < rows; row++) {
      const from = row * perRow + begin;
      made.set(all.subarray(from, from + width), row * width);
    }
    return made;
  };
  const scales = format === 'int8' ? matrix.scales : part(matrix.scales);
  return { format, shape: [rows, count], data: part(matrix.data), scales };
}

/** Matrices of one format and depth, one below the other. @param shape of the result: [N, K] or [E, N, K]. */
export function quantisedStack(parts: readonly QuantisedMatrix[], shape: readonly number[]): QuantisedMatrix {
  const { format } = at(parts, 0);
  invariant(
    parts.every((part) => part.format === format),
    () => `matrices of ${parts.map((part) => part.format).join()} cannot be one`,
  );
  const [data, scales] = [joined(parts.map((part) => part.data)), joined(parts.map((part) => part.scales))];
  return { format, shape, data, scales };
}

function joined<Data extends Int8Array | Uint8Array | Float32Array>(parts: readonly Data[]): Data {
  const made = emptyLike(at(parts, 0), sum(parts.map((part) => part.length)));
  let offset = 0;
  for (const part of parts) {
    made.set(part, offset);
    offset += part.length;
  }
  return made;
}

function emptyLike<Data extends Int8Array | Uint8Array | Float32Array>(data: Data, length: number): Data {
  if (data instanceof Int8Array) return new Int8Array(length) as Data;
  if (data instanceof Uint8Array) return new Uint8Array(length) as Data;
  return new Float32Array(length) as Data;
}
