/**
 * Weight matrices in few bits: N rows (outputs) of K values (inputs), or a stack of E such matrices.
 *
 *   int8    value = q * scale[row], q from -127 to 127; one f32 scale per row.
 *   int4    value = (nibble - 8) * scale[row, k / 32]; f32 scales.
 *   mxfp4   value = e2m1(nibble) * 2^(scale[row, k / 32] - 127); the scale is an e8m0 byte (OCP Microscaling, gpt-oss).
 *
 * Two nibbles share a byte, the element of even k in the low one. Largest error of a quantised value, with A the
 * largest magnitude of its row (int8) or block: int8 A / 254, int4 A / 8, mxfp4 A / 4.
 */
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { at, product } from '../core/math.ts';
import { tensor, type Tensor } from './tensor.ts';

/**
 * Formats of weights in few bits: int8 with a scale per row, int4 and mxfp4 (OCP Microscaling) with one per 32 values.
 */
export type QuantFormat = 'int8' | 'int4' | 'mxfp4';

export const QUANT_FORMATS: readonly QuantFormat[] = ['int8', 'int4', 'mxfp4'];

/** How the matrices of a model are stored. */
export type WeightDtype = FloatWeight | QuantFormat;

/** Weights that need no scales. */
export type FloatWeight = 'f32' | 'f16' | 'bf16';

export const WEIGHT_DTYPES: readonly WeightDtype[] = ['f32', 'f16', 'bf16', ...QUANT_FORMATS];

export function isQuantised(dtype: WeightDtype): dtype is QuantFormat {
  return dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16';
}

/** Values that share a scale in the formats of 4 bits. */
export const BLOCK = 32;

/** A weight in few bits as it lies on the host: values, and the scales to multiply them by. */
export interface QuantisedMatrix {
  readonly format: QuantFormat;
  /** [N, K] or [E, N, K], in values. */
  readonly shape: readonly number[];
  /** int8: a byte per value; otherwise two values per byte. */
  readonly data: Int8Array | Uint8Array;
  /** int8: f32 per row; int4: f32 per block; mxfp4: an e8m0 byte per block. */
  readonly scales: Float32Array | Uint8Array;
}

/** A weight on the host: floats, or few bits with their scales. */
export type HostWeight = Tensor | QuantisedMatrix;

/** Rows of all matrices of a stack together, and the values of a row. */
export function rowsAndDepth(shape: readonly number[]): { readonly rows: number; readonly depth: number } {
  return { rows: product(shape.slice(0, -1)), depth: at(shape, shape.length - 1) };
}

/** How many scales a matrix has: one per row (int8) or per block of 32. */
export function scaleCount(format: QuantFormat, shape: readonly number[]): number {
  const { rows, depth } = rowsAndDepth(shape);
  return format === 'int8' ? rows : (rows * depth) / BLOCK;
}

export function dataBytes(format: QuantFormat, shape: readonly number[]): number {
  return format === 'int8' ? product(shape) : product(shape) / 2;
}

/** Bytes of values and scales as they are stored: mxfp4 of 32 values takes 16 + 1. */
export function quantisedBytes({ data, scales }: QuantisedMatrix): number {
  return data.byteLength + scales.byteLength;
}

/** @throws ConfigError for a row that does not consist of whole blocks. */
export function requireBlocks(format: QuantFormat, what: string, depth: number): void {
  if (format === 'int8' || depth % BLOCK === 0) return;
  throw new ConfigError(
    `${what} has ${depth} values per row; ${format} has a scale per ${BLOCK}, so rows must be a multiple of it. ` +
      `Use int8, or another width.`,
  );
}

/** The magnitudes that e2m1 has, by its lower three bits. */
const E2M1: readonly number[] = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** The value of each nibble before it is scaled. */
export const NIBBLE_VALUES: Readonly<Record<'int4' | 'mxfp4', readonly number[]>> = {
  int4: Array.from({ length: 16 }, (_, nibble) => nibble - 8),
  mxfp4: [...E2M1, ...E2M1.map((value) => -value)],
};

/** 2^(byte - 127); 255 is NaN. Byte 0 is 2^-127, which f32 holds as a subnormal number. */
export function fromE8m0(byte: number): number {
  return byte === 255 ? NaN : 2 ** (byte - 127);
}

/** The scales as the device reads them. */
export function scalesInF32({ scales }: QuantisedMatrix): Float32Array {
  return scales instanceof Float32Array ? scales : Float32Array.from(scales, fromE8m0);
}

/**
 * The exact values, which need f64: 24 bits of a scale times up to 8 of a value do not fit f32.
 * int4, bytes [0x0f, 0x98, ...] with scale 0.5 -> 3.5, -4, 0, 0.5, ...
 */
export function dequantise(matrix: QuantisedMatrix): Tensor {
  requireFields('The matrix', matrix, { format: 'string', shape: 'list', data: 'list', scales: 'list' });
  const { format, shape, data } = matrix;
  const scales = scalesInF32(matrix);
  const { rows, depth } = rowsAndDepth(shape);
  const values = new Float64Array(rows * depth);
  const perScale = format === 'int8' ? depth : BLOCK;
  for (let group = 0; group < scales.length; group++) {
    const first = group * perScale;
    fill[format](values, data, first, first + perScale, at(scales, group));
  }
  return tensor('f64', shape, values);
}

type Fill = (
  values: Float64Array,
  data: Int8Array | Uint8Array,
  first: number,
  end: number,
  scale: number,
) => void;

const fillNibbles =
  (table: Float64Array): Fill =>
  (values, data, first, end, scale) => {
    for (let i = first; i < end; i += 2) {
      const byte = data[i / 2] as number;
      values[i] = (table[byte & 15] as number) * scale;
      values[i + 1] = (table[byte >> 4] as number) * scale;
    }
  };

/** Plain loops over arrays of one kind: the generic accessor makes them three times slower. */
const fill: Readonly<Record<QuantFormat, Fill>> = {
  int8: (values, data, first, end, scale) => {
    for (let i = first; i < end; i++) values[i] = (data[i] as number) * scale;
  },
  int4: fillNibbles(Float64Array.from(NIBBLE_VALUES.int4)),
  mxfp4: fillNibbles(Float64Array.from(NIBBLE_VALUES.mxfp4)),
};
