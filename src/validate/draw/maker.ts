/** Seeded tensors for cases. Hard on purpose: plain normal numbers hide errors that outliers and ties show. */
import { type Piecewise, piecewise } from '../../core/async/pieces.ts';
import { product } from '../../core/math.ts';
import { type Random, seededRandom, seedOf } from '../../core/random.ts';
import { castFloat, f32Tensor, type Tensor } from '../../tensor/tensor.ts';

export interface Maker {
  readonly random: Random;
  /** Normal numbers of the given deviation. */
  readonly normal: Piecewise<[shape: readonly number[], deviation?: number], Tensor>;
  /** Normal, and one in 32 twenty times as large. */
  outliers(shape: readonly number[], deviation?: number): Tensor;
  /** Weights [..., inputs] whose products with unit rows stay of unit size. */
  readonly weight: Piecewise<[shape: readonly number[]], Tensor>;
  half(t: Tensor): Tensor;
  /** Whole numbers in [-most, most]: sums of their products are exact in f32. */
  whole(shape: readonly number[], most: number): Tensor;
  filled(shape: readonly number[], value: (index: number) => number): Tensor;
}

export function maker(name: string): Maker {
  const random = seededRandom(seedOf(name));
  const filled = (shape: readonly number[], value: (index: number) => number): Tensor => {
    const values = new Float32Array(product(shape));
    for (let i = 0; i < values.length; i++) values[i] = value(i);
    return f32Tensor(shape, values);
  };
  const normal = piecewise(function* (shape: readonly number[], deviation?: number) {
    return f32Tensor(shape, yield* random.normals.pieces(product(shape), deviation));
  });
  return {
    random,
    filled,
    normal,
    outliers: (shape, deviation = 1) =>
      filled(shape, () => random.normal(deviation) * (random.integer(32) === 0 ? 20 : 1)),
    weight: piecewise((shape: readonly number[]) => normal.pieces(shape, 1 / Math.sqrt(shape.at(-1) ?? 1))),
    half: (t) => castFloat(t, 'f16'),
    whole: (shape, most) => filled(shape, () => random.integer(2 * most + 1) - most),
  };
}
