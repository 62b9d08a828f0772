/**
 * How a weight lies in one buffer: the values of a matrix [N, K] or a stack [E, N, K], then from a multiple of 256 bytes on
 * the scales in f32.
 */
import { ConfigError } from '../core/errors.ts';
import { product, roundUp } from '../core/math.ts';
import { dataBytes, isQuantised, scaleCount, type WeightDtype } from './quantised.ts';

/** minStorageBufferOffsetAlignment of the specification: a view may start at multiples of it on every adapter. */
const VIEW_ALIGNMENT = 256;

export interface WeightPlaces {
  readonly dataBytes: number;
  /** Byte of the buffer where the scales begin; 0 for floats. */
  readonly scalesAt: number;
  readonly scalesBytes: number;
}

export function weightPlaces(dtype: WeightDtype, shape: readonly number[]): WeightPlaces {
  if (!isQuantised(dtype)) {
    const bytes = product(shape) * (dtype === 'f32' ? 4 : 2);
    return { dataBytes: bytes, scalesAt: 0, scalesBytes: 0 };
  }
  const bytes = dataBytes(dtype, shape);
  return {
    dataBytes: bytes,
    scalesAt: roundUp(bytes, VIEW_ALIGNMENT),
    scalesBytes: 4 * scaleCount(dtype, shape),
  };
}

/** Bytes of a matrix or stack on the device, before the buffer is rounded up. */
export function weightBytes(dtype: WeightDtype, shape: readonly number[]): number {
  const { dataBytes: bytes, scalesAt, scalesBytes } = weightPlaces(dtype, shape);
  return Math.max(bytes, scalesAt + scalesBytes);
}

/** Shaders number the values of a matrix or stack in u32, and of 4 bits a binding of 4 GiB would hold more. */
const MOST_VALUES = 2 ** 32;

/** Whether shaders can number all values of a matrix or stack. */
export function isIndexable(shape: readonly number[]): boolean {
  return product(shape) < MOST_VALUES;
}

/** @throws ConfigError when shaders cannot number all values of a matrix or stack: their indices would wrap. */
export function requireIndexable(what: string, shape: readonly number[]): void {
  if (isIndexable(shape)) return;
  throw new ConfigError(
    `${what} [${shape.join(', ')}] has ${product(shape)} values, but kernels number fewer than 2^32 in one matrix or stack. ` +
      `Split it, or use a layout with more ranks.`,
  );
}
