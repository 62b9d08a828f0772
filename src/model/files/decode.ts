/** From the bytes of a file to our tensors: number formats, rows in another order, matrices the other way round. */
import { ConfigError } from '../../core/errors.ts';
import { at, product, range } from '../../core/math.ts';
import { BLOCK, type QuantisedMatrix } from '../../tensor/quantised.ts';
import { type Dtype, tensor, type Tensor, type TensorData, toF32 } from '../../tensor/tensor.ts';

/** Dtypes of files that hold weights, by their spelling there. F8_E4M3 has scales beside it. */
const DTYPE: Readonly<Record<string, Dtype>> = { F64: 'f64', F32: 'f32', F16: 'f16', BF16: 'bf16' };

export function floatDtype(stored: string): Dtype | undefined {
  return Object.hasOwn(DTYPE, stored) ? DTYPE[stored] : undefined;
}

/** Bytes as they lie in a file, in memory that a typed array may view. */
function aligned(bytes: Uint8Array, elementBytes: number): Uint8Array {
  return bytes.byteOffset % elementBytes === 0 ? bytes : new Uint8Array(bytes);
}

/** A tensor of floats as it lies. */
export function floats(bytes: Uint8Array, dtype: Dtype, shape: readonly number[]): Tensor {
  const elementBytes = dtype === 'f64' ? 8 : dtype === 'f32' ? 4 : 2;
  const { buffer, byteOffset } = aligned(bytes, elementBytes);
  const count = product(shape);
  if (dtype === 'f64') return tensor(dtype, shape, new Float64Array(buffer, byteOffset, count));
  if (dtype === 'f32') return tensor(dtype, shape, new Float32Array(buffer, byteOffset, count));
  return tensor(dtype, shape, new Uint16Array(buffer, byteOffset, count));
}

/** The value of an F8_E4M3 byte: 4 bits of exponent (bias 7), 3 of fraction; 0x7f and 0xff are NaN. */
export function e4m3(byte: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >> 3) & 15;
  const fraction = byte & 7;
  if (exponent === 15 && fraction === 7) return NaN;
  return exponent === 0 ? sign * (fraction / 8) * 2 ** -6 : sign * (1 + fraction / 8) * 2 ** (exponent - 7);
}

const E4M3 = Float64Array.from(range(256), e4m3);

/** FP8 values times the scale of their block. @param block rows and columns that share one. */
export function fp8(
  bytes: Uint8Array,
  shape: readonly number[],
  scales: Tensor,
  [blockRows, blockColumns]: readonly [number, number],
): Tensor {
  const [rows, columns] = [at(shape, 0), at(shape, 1)];
  const factors = toF32(scales);
  const values = new Float32Array(rows * columns);
  const scaledBy = new Float32Array(E4M3.length);
  let block = 0;
  for (let top = 0; top < rows; top += blockRows) {
    for (let left = 0; left < columns; left += blockColumns) {
      const scale = factors[block++] as number;
      // All values of a block by their byte: models are widened by the gigabyte.
      for (let byte = 0; byte < E4M3.length; byte++) scaledBy[byte] = (E4M3[byte] as number) * scale;
      const right = Math.min(columns, left + blockColumns);
      for (let row = top; row < Math.min(rows, top + blockRows); row++) {
        for (let i = row * columns + left; i < row * columns + right; i++) {
          values[i] = scaledBy[bytes[i] as number] as number;
        }
      }
    }
  }
  return tensor('f32', shape, values);
}

/** The shape of the scales of an FP8 matrix. */
export function fp8ScaleShape(shape: readonly number[], block: readonly [number, number]): number[] {
  return shape.map((size, i) => Math.ceil(size / (block[i] ?? 1)));
}

/** Rows of a matrix, or elements of a vector, in another order: row i of the result is row `source(i)`. */
export function pickRows(t: Tensor, count: number, source: (row: number) => number): Tensor {
  const width = t.shape.length === 1 ? 1 : at(t.shape, 1);
  const data = emptyLike(t.data, count * width);
  for (let row = 0; row < count; row++) {
    const from = source(row) * width;
    data.set(t.data.subarray(from, from + width), row * width);
  }
  return tensor(t.dtype, t.shape.length === 1 ? [count] : [count, width], data);
}

/** Within groups of rows as long as the order. */
export function reordered(t: Tensor, order: readonly number[]): Tensor {
  const size = order.length;
  return pickRows(t, at(t.shape, 0), (row) => row - (row % size) + at(order, row % size));
}

/** Rows and columns that are turned at a time, so that both stay in a cache. A guess. */
const TURNED = 64;

/** [count, K] from [K, N]: row i of the result is column `source(i)`. */
export function columnsAsRows(t: Tensor, count: number, source: (row: number) => number): Tensor {
  const [depth, width] = [at(t.shape, 0), at(t.shape, 1)];
  const from = Uint32Array.from(range(count), source);
  const data = emptyLike(t.data, count * depth);
  for (let top = 0; top < depth; top += TURNED) {
    const bottom = Math.min(depth, top + TURNED);
    for (let first = 0; first < count; first += TURNED) {
      const last = Math.min(count, first + TURNED);
      for (let k = top; k < bottom; k++) {
        for (let row = first; row < last; row++) {
          data[row * depth + k] = t.data[k * width + (from[row] as number)] as number;
        }
      }
    }
  }
  return tensor(t.dtype, [count, depth], data);
}

export function scaled(t: Tensor, factor: number): Tensor {
  return tensor(
    'f32',
    t.shape,
    Float32Array.from(t.dtype === 'f64' ? t.data : toF32(t), (x) => x * factor),
  );
}

/** Rows of a matrix in MXFP4. @param blocks [all, K/32, 16], @param scales [all, K/32]. */
export function mxfp4Rows(
  blocks: Uint8Array,
  scales: Uint8Array,
  shape: readonly [rows: number, depth: number],
  row: (i: number) => number,
): QuantisedMatrix {
  const [rows, depth] = shape;
  const [bytes, perRow] = [depth / 2, depth / BLOCK];
  const data = new Uint8Array(rows * bytes);
  const kept = new Uint8Array(rows * perRow);
  for (let i = 0; i < rows; i++) {
    const from = row(i);
    data.set(blocks.subarray(from * bytes, (from + 1) * bytes), i * bytes);
    kept.set(scales.subarray(from * perRow, (from + 1) * perRow), i * perRow);
  }
  return { format: 'mxfp4', shape, data, scales: kept };
}

/** @throws ConfigError for a stored dtype that holds no weights. */
export function requireFloats(name: string, dtype: string, where: string): void {
  if (floatDtype(dtype) !== undefined || dtype === 'F8_E4M3') return;
  throw new ConfigError(`Tensor ${name} of ${where} holds integers (${dtype}). Store weights as floats.`);
}

function emptyLike(data: TensorData, length: number): TensorData {
  if (data instanceof Uint16Array) return new Uint16Array(length);
  if (data instanceof Float64Array) return new Float64Array(length);
  return new Float32Array(length);
}
