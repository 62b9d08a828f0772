/** Arrays on the CPU with a shape and an element type. f16 and bf16 are kept as their 16 bits, as they lie in files. */
import { Float16Array } from '@petamoriken/float16';
import { once } from '../core/async/once.ts';
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { product } from '../core/math.ts';

/** Element types of a tensor on the CPU. */
export type Dtype = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'f64' | 'i8' | 'u8';
export type TensorData =
  Float32Array | Uint16Array | Int32Array | Uint32Array | Float64Array | Int8Array | Uint8Array;

/** An array on the CPU with its shape, the last dimension contiguous. */
export interface Tensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Row-major; for f16 and bf16 a Uint16Array of bit patterns. */
  readonly data: TensorData;
}

export const BYTES_OF: Record<Dtype, number> = {
  ...{ f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4, f64: 8, i8: 1, u8: 1 },
};

const ARRAY_OF = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f64: Float64Array,
  i8: Int8Array,
  u8: Uint8Array,
} as const;

/**
 * Memory that other threads may write, or that may change its size, is copied: native code must not be given it.
 * @throws ConfigError as `checkTensor`.
 */
export function tensor(dtype: Dtype, shape: readonly number[], data: TensorData): Tensor {
  requireGiven('The dtype', dtype, 'string');
  requireGiven('The shape', shape, 'list');
  requireGiven('The tensor', data, 'record');
  const made = { dtype, shape, data };
  checkTensor(made);
  return isOrdinary(data.buffer) ? made : { dtype, shape, data: new ARRAY_OF[dtype](data) };
}

/**
 * @param name for the message.
 * @throws ConfigError when a dimension is no size, the array is not of the dtype's kind, or its number of elements is not
 * the product of the shape: also when it was transferred away or resized since.
 */
export function checkTensor(given: Tensor, name = 'A tensor'): void {
  requireFields(name, given, { dtype: 'string', shape: 'list', data: 'any' });
  const { dtype, shape, data } = given;
  const wanted = (ARRAY_OF as Partial<Record<string, { readonly name: string }>>)[dtype]?.name;
  if (wanted === undefined) {
    throw new ConfigError(
      `${name} has the dtype ${String(dtype)}. Known are ${Object.keys(ARRAY_OF).join(', ')}.`,
    );
  }
  const kind = kindOf(data);
  if (kind !== wanted)
    throw new ConfigError(`${name} of ${dtype} needs a ${wanted}, but a ${kind} was given.`);
  const text = `${name} of shape [${shape.join(', ')}]`;
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new ConfigError(`${text}: every dimension is an integer of 0 or more.`);
  }
  const count = product(shape);
  if (data.length !== count) {
    throw new ConfigError(
      `${text} needs ${count} elements, but ${data.length} were given.` +
        (isDetached(data.buffer) ? ' Its array was transferred away; give a copy.' : ''),
    );
  }
}

/**
 * The bytes as they lie, in memory that native code may be given: a copy where others may write it or resize it.
 * @throws ConfigError for an array that was transferred away.
 */
export function bytesOf(data: TensorData, name: string): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data;
  if (isDetached(buffer)) {
    throw new ConfigError(
      `The array of ${name} was transferred away; give a copy, or make the transfer later.`,
    );
  }
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  return isOrdinary(buffer) ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

/** 'Float32Array', 'DataView': also of an array from another realm, and of a subclass such as Buffer. */
function kindOf(data: unknown): string {
  return Object.prototype.toString.call(data).slice('[object '.length, -1);
}

function isOrdinary(buffer: ArrayBufferLike): boolean {
  return kindOf(buffer) === 'ArrayBuffer' && (buffer as { resizable?: boolean }).resizable !== true;
}

/** Nothing can be seen through a view of it; older runtimes have no property that says so. */
function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false;
  try {
    return new Uint8Array(buffer).length !== 0;
  } catch {
    return true;
  }
}

/**
 * A tensor in f32 from any numbers, rounded to f32; a Float32Array is not copied.
 * @throws ConfigError when the shape and the number of values do not fit each other.
 */
export function f32Tensor(shape: readonly number[], values: ArrayLike<number>): Tensor {
  requireGiven('The shape', shape, 'list');
  requireGiven('The tensor', values, 'list');
  return tensor('f32', shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

/** The elements as f32 (f16 and bf16 widen exactly; f64 rounds). The tensor's own array when it is f32 already. */
export function toF32(t: Tensor): Float32Array {
  requireFields('The tensor', t, { dtype: 'string', shape: 'list', data: 'list' });
  if (t.data instanceof Float32Array) return t.data;
  if (t.dtype === 'f16') return widenF16(t.data);
  if (t.dtype === 'bf16') return widenBf16(t.data);
  return Float32Array.from(t.data);
}

/** The elements as f64, exactly. */
export function toF64(t: Tensor): Float64Array {
  requireFields('The tensor', t, { dtype: 'string', shape: 'list', data: 'list' });
  if (t.dtype === 'f16') return Float64Array.from(widenF16(t.data));
  if (t.dtype === 'bf16') return Float64Array.from(widenBf16(t.data));
  return Float64Array.from(t.data);
}

/** The value of every f16 by its bits: the library takes 20 times as long for a value as a table. */
const f16Values = once(() => {
  const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
  return Float32Array.from(new Float16Array(bits.buffer));
});

function widenF16(halves: ArrayLike<number>): Float32Array {
  const values = f16Values();
  const wide = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) wide[i] = values[halves[i] as number] as number;
  return wide;
}

/** bf16 is the upper half of an f32. */
export function widenBf16(halves: ArrayLike<number>): Float32Array {
  return widened(halves instanceof Uint16Array ? halves : Uint16Array.from(halves));
}

/** A loop that has seen one kind of array, two values at a time: models are widened by the gigabyte. */
function widened(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length);
  const paired = halves.byteOffset % 4 === 0 ? halves.length >> 1 : 0;
  const pairs = new Uint32Array(halves.buffer, paired === 0 ? 0 : halves.byteOffset, paired);
  for (let i = 0; i < paired; i++) {
    const pair = pairs[i] as number;
    words[2 * i] = pair << 16;
    words[2 * i + 1] = pair & 0xffff0000;
  }
  for (let i = 2 * paired; i < halves.length; i++) words[i] = (halves[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/** Bit patterns of the nearest bf16 values (ties to even); a NaN stays one. */
export function toBf16Bits(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word) =>
    (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
}

/** Bit patterns of the nearest f16 values (ties to even). */
export function toF16Bits(values: ArrayLike<number>): Uint16Array {
  if (values instanceof Float32Array) return halvesOf(values);
  const halves = Float16Array.from(values);
  return new Uint16Array(halves.buffer, halves.byteOffset, halves.length);
}

/** The same values in another float type. */
export function castFloat(t: Tensor, dtype: 'f32' | 'f16' | 'bf16'): Tensor {
  requireFields('The tensor', t, { dtype: 'string', shape: 'list', data: 'list' });
  requireGiven('The dtype', dtype, 'string');
  if (t.dtype === dtype) return t;
  const values = toF32(t);
  if (dtype === 'f32') return tensor(dtype, t.shape, values);
  return tensor(dtype, t.shape, dtype === 'f16' ? toF16Bits(values) : toBf16Bits(values));
}

/** Of f32 by its bits: the library takes 20 times as long. */
function halvesOf(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < halves.length; i++) {
    const word = words[i] as number;
    const size = word & 0x7fffffff;
    halves[i] =
      ((word >>> 16) & 0x8000) | (size > 0x7f800000 ? 0x7e00 | ((size >>> 13) & 0x1ff) : halfOf(size));
  }
  return halves;
}

/** @param size bits of an f32 that is neither negative nor NaN. */
function halfOf(size: number): number {
  if (size >= 0x47800000) return 0x7c00;
  // Subnormal halves count in steps of 2^-24: the significand is shifted there.
  if (size < 0x38800000) return shifted((size & 0x7fffff) | 0x800000, 126 - (size >>> 23));
  return shifted(size - 0x38000000, 13);
}

/** Rounded to nearest, ties to even. */
function shifted(bits: number, by: number): number {
  if (by > 24) return 0;
  const rest = bits & ((1 << by) - 1);
  const half = 1 << (by - 1);
  const whole = bits >>> by;
  return whole + Number(rest > half || (rest === half && (whole & 1) === 1));
}

/** Bytes as elements of a dtype. */
export function arrayOf(dtype: Dtype, bytes: ArrayBuffer): TensorData {
  switch (dtype) {
    case 'f32':
      return new Float32Array(bytes);
    case 'f16':
    case 'bf16':
      return new Uint16Array(bytes);
    case 'i32':
      return new Int32Array(bytes);
    case 'u32':
      return new Uint32Array(bytes);
    case 'f64':
      return new Float64Array(bytes);
    case 'i8':
      return new Int8Array(bytes);
    case 'u8':
      return new Uint8Array(bytes);
  }
}
