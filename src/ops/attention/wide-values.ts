/**
 * Values so large that the sum of all keys leaves f32, though its quotient by the sum of weights does not. They are given to the
 * kernel with a power of two taken out, and the outputs get it back.
 */
import { at } from '../../core/math.ts';
import { castFloat, f32Tensor, toF32, type Tensor } from '../../tensor/tensor.ts';

/** Weights are at most 1, so sums over n keys are at most n times the largest value. */
const LARGEST_SUM = 2 ** 127;

/** log2 of what is to be taken out of values that are summed over so many keys; 0 for all ordinary ones. */
export function liftOf(v: Tensor, numKeys: number): number {
  if (v.dtype !== 'f32' || numKeys < 2) return 0;
  const { data } = v;
  const limit = LARGEST_SUM / numKeys;
  for (let i = 0; i < data.length; i++) {
    const size = Math.abs(Number(at(data, i)));
    if (size > limit && size < Infinity) return Math.ceil(Math.log2(numKeys)) + 1;
  }
  return 0;
}

/** The tensor times 2^exponent. */
export function timesPowerOfTwo(t: Tensor, exponent: number): Tensor {
  const factor = 2 ** exponent;
  return castFloat(
    f32Tensor(
      t.shape,
      toF32(t).map((x) => x * factor),
    ),
    t.dtype === 'f16' ? 'f16' : 'f32',
  );
}
