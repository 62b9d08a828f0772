/** From floats to few bits, each value to the nearest. The formats are those of `quantised.ts`. */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { product } from '../core/math.ts';
import {
  BLOCK,
  dataBytes,
  fromE8m0,
  type QuantFormat,
  type QuantisedMatrix,
  requireBlocks,
  rowsAndDepth,
  scaleCount,
} from './quantised.ts';
import { type Tensor, toF32 } from './tensor.ts';
import { unravel } from './compare.ts';

/** Scales are normal numbers, since adapters may take smaller ones for 0. */
const LEAST_SCALE = 2 ** -126;

/**
 * Rounds a float matrix, or a stack of them, to a format.
 * @param name of the tensor, for messages.
 * @throws ConfigError for a value that is not finite, or rows that are not whole blocks.
 */
export function quantise(weights: Tensor, format: QuantFormat, name = 'the matrix'): QuantisedMatrix {
  requireFields('The matrix', weights, { dtype: 'string', shape: 'list', data: 'list' });
  requireGiven('The format', format, 'string');
  const { shape } = weights;
  requireBlocks(format, name, rowsAndDepth(shape).depth);
  const values = toF32(weights);
  requireFinite(values, shape, format, name);
  switch (format) {
    case 'int8':
      return quantiseInt8(values, shape);
    case 'int4':
      return quantiseInt4(values, shape);
    case 'mxfp4':
      return quantiseMxfp4(values, shape);
  }
}

/**
 * The largest magnitude of a row becomes 127: with scale 0.5, [63.5, -1, 0.3] -> [127, -2, 1].
 * A row of zeros has scale 0.
 */
function quantiseInt8(values: Float32Array, shape: readonly number[]): QuantisedMatrix {
  const { rows, depth } = rowsAndDepth(shape);
  const data = new Int8Array(product(shape));
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const first = row * depth;
    const largest = Math.abs(extreme(values, first, depth));
    if (largest === 0) continue;
    scales[row] = Math.max(LEAST_SCALE, largest / 127);
    const scale = f32At(scales, row);
    for (let i = first; i < first + depth; i++) data[i] = Math.round(f32At(values, i) / scale);
  }
  return { format: 'int8', shape, data, scales };
}

/**
 * The value of largest magnitude, with its sign, becomes -8, the end of the range that has one more step; so a scale
 * may be negative. Of the simple choices it has the least squared error on normal weights: 8.6 % of their deviation,
 * where -7 to 7 has 9.7 %.
 */
function quantiseInt4(values: Float32Array, shape: readonly number[]): QuantisedMatrix {
  const data = new Uint8Array(dataBytes('int4', shape));
  const scales = new Float32Array(scaleCount('int4', shape));
  for (let block = 0; block < scales.length; block++) {
    const first = block * BLOCK;
    const most = extreme(values, first, BLOCK);
    if (most !== 0) scales[block] = -Math.sign(most) * Math.max(LEAST_SCALE, Math.abs(most) / 8);
    const scale = f32At(scales, block);
    for (let i = first; i < first + BLOCK; i += 2) {
      data[i / 2] = int4(f32At(values, i), scale) | (int4(f32At(values, i + 1), scale) << 4);
    }
  }
  return { format: 'int4', shape, data, scales };
}

function int4(value: number, scale: number): number {
  return scale === 0 ? 8 : Math.max(0, Math.min(15, Math.round(value / scale) + 8));
}

/**
 * The scale is the power of two under which the block's largest magnitude lies in [4, 8), as the format's authors
 * propose, where values over 6 are cut off; or twice that, where they are not. The smaller squared error decides.
 */
function quantiseMxfp4(values: Float32Array, shape: readonly number[]): QuantisedMatrix {
  const data = new Uint8Array(dataBytes('mxfp4', shape));
  const scales = new Uint8Array(scaleCount('mxfp4', shape));
  for (let block = 0; block < scales.length; block++) {
    const first = block * BLOCK;
    const byte = Math.max(1, exponentBits(extreme(values, first, BLOCK)) - 2);
    const twice = squaredError(values, first, byte + 1) < squaredError(values, first, byte);
    scales[block] = twice ? byte + 1 : byte;
    const scale = fromE8m0(twice ? byte + 1 : byte);
    for (let i = first; i < first + BLOCK; i += 2) {
      data[i / 2] = e2m1(f32At(values, i) / scale) | (e2m1(f32At(values, i + 1) / scale) << 4);
    }
  }
  return { format: 'mxfp4', shape, data, scales };
}

/** The nibble of the nearest value, ties to the even one: e2m1(2.5) = 4 (2), e2m1(-5) = 14 (-4), e2m1(9) = 7 (6). */
export function e2m1(value: number): number {
  const size = Math.abs(value);
  const code = roundEven(size / stepOf(size)) + (size < 2 ? 0 : size < 4 ? 2 : 4);
  return Math.min(7, code) | (value < 0 ? 8 : 0);
}

/** Distance of neighbours of e2m1 at this magnitude. */
function stepOf(size: number): number {
  return size < 2 ? 0.5 : size < 4 ? 1 : 2;
}

/** To the nearest whole number, ties to even: what adding 1.5 2^52 does to a small f64. */
function roundEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}

function squaredError(values: Float32Array, first: number, byte: number): number {
  const scale = fromE8m0(byte);
  const inverse = 1 / scale;
  let error = 0;
  for (let i = first; i < first + BLOCK; i++) {
    const size = Math.abs(f32At(values, i)) * inverse;
    const step = stepOf(size);
    const off = size - Math.min(6, roundEven(size / step) * step);
    error += off * off;
  }
  return error * scale * scale;
}

/** The element at `index`, which the caller knows to exist: an accessor of its own keeps these loops fast. */
function f32At(values: Float32Array, index: number): number {
  return values[index] as number;
}

/** The value of largest magnitude, the first of equals. */
function extreme(values: Float32Array, first: number, count: number): number {
  let most = 0;
  let size = 0;
  for (let i = first; i < first + count; i++) {
    const value = f32At(values, i);
    if (Math.abs(value) > size) {
      most = value;
      size = Math.abs(value);
    }
  }
  return most;
}

const word = new DataView(new ArrayBuffer(4));

/** floor(log2 |x|) + 127 of a normal f32, without the roundings of a logarithm; 0 for a smaller one. */
function exponentBits(x: number): number {
  word.setFloat32(0, x);
  return (word.getUint32(0) >>> 23) & 0xff;
}

function requireFinite(
  values: Float32Array,
  shape: readonly number[],
  format: QuantFormat,
  name: string,
): void {
  let wrong = 0;
  // x - x is 0 for a finite x only.
  while (wrong < values.length && f32At(values, wrong) - f32At(values, wrong) === 0) wrong += 1;
  if (wrong === values.length) return;
  throw new ConfigError(
    `${name}[${unravel(wrong, shape).join(', ')}] is ${f32At(values, wrong)}; ${format} holds finite values only. ` +
      'Repair the weights, or store them as floats.',
  );
}
