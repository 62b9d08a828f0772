/** Arrays on the CPU with a shape and an element type. f16 is kept as its 16 bits, as it lies in files. */
import { Float16Array } from '@petamoriken/float16';
import { ConfigError } from '../core/errors.ts';
import { product } from '../core/math.ts';

export type Dtype = 'f32' | 'f16' | 'i32' | 'u32' | 'f64' | 'i8' | 'u8';
export type TensorData =
  Float32Array | Uint16Array | Int32Array | Uint32Array | Float64Array | Int8Array | Uint8Array;

export interface Tensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Row-major; for f16 a Uint16Array of bit patterns. */
  readonly data: TensorData;
}

export const BYTES_OF: Record<Dtype, number> = { f32: 4, f16: 2, i32: 4, u32: 4, f64: 8, i8: 1, u8: 1 };

/** @throws ConfigError when the number of elements is not the product of the shape. */
export function tensor(dtype: Dtype, shape: readonly number[], data: TensorData): Tensor {
  if (data.length !== product(shape)) {
    throw new ConfigError(
      `A tensor of shape [${shape.join(', ')}] needs ${product(shape)} elements, but ${data.length} were given.`,
    );
  }
  return { dtype, shape, data };
}

export function f32Tensor(shape: readonly number[], values: ArrayLike<number>): Tensor {
  return tensor('f32', shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

/** The elements as f32 (f16 widens exactly; f64 rounds). The tensor's own array when it is f32 already. */
export function toF32(t: Tensor): Float32Array {
  if (t.data instanceof Float32Array) return t.data;
  if (t.dtype === 'f16') return Float32Array.from(f16View(t.data));
  return Float32Array.from(t.data);
}

/** The elements as f64, exactly. */
export function toF64(t: Tensor): Float64Array {
  if (t.dtype === 'f16') return Float64Array.from(f16View(t.data));
  return Float64Array.from(t.data);
}

/** Bit patterns of the nearest f16 values (ties to even). */
export function toF16Bits(values: ArrayLike<number>): Uint16Array {
  const halves = Float16Array.from(values);
  return new Uint16Array(halves.buffer, halves.byteOffset, halves.length);
}

/** The same values in another float type. */
export function castFloat(t: Tensor, dtype: 'f32' | 'f16'): Tensor {
  if (t.dtype === dtype) return t;
  const values = toF32(t);
  return tensor(dtype, t.shape, dtype === 'f16' ? toF16Bits(values) : values);
}

function f16View(bits: TensorData): Iterable<number> & ArrayLike<number> {
  return new Float16Array(bits.buffer as ArrayBuffer, bits.byteOffset, bits.length);
}
