/** The range of normal f32 numbers: beyond it a device computes with infinity, below it many flush to 0. */

/** The largest number of f32, and its least normal one (IEEE 754). */
export const MOST_F32 = 3.4028234663852886e38;
export const LEAST_F32 = 1.1754943508222875e-38;

/** Whether a device takes `value` for what it is, up to rounding: 0, or a magnitude from 1.2e-38 to 3.4e38. */
export function fitsF32(value: number): boolean {
  const size = Math.abs(value);
  return size === 0 || (size >= LEAST_F32 && size <= MOST_F32);
}
