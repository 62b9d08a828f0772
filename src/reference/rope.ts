/** Rotary positions: pairs of a head's elements turned by an angle that grows with the position. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { invariant } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { f64At } from './f64.ts';

export interface RopeInput {
  /** [T, H, Dh] */
  readonly x: Float64Array;
  readonly numHeads: number;
  /** Even. */
  readonly headDim: number;
  /** Position of each of the T rows. */
  readonly positions: ArrayLike<number>;
  readonly theta: number;
  /** `halves`: element i turns with i + Dh/2 (GPT-NeoX, Hugging Face); `interleaved`: 2i with 2i + 1 (RoFormer). */
  readonly style: 'halves' | 'interleaved';
}

/**
 * Pair i of a row at position p turns by p theta^(-2i / Dh): (a, b) -> (a cos - b sin, b cos + a sin).
 * Lengths of pairs, and so of heads, stay. Position 0 is the identity.
 */
export const rope = piecewise(function* ({ theta, style, ...input }: RopeInput): Pieces<Float64Array> {
  const half = input.headDim / 2;
  invariant(Number.isInteger(half), () => `rope: headDim ${input.headDim} is odd`);
  const frequencies = Array.from({ length: half }, (_, i) => theta ** (-i / half));
  return yield* ropeBy.pieces(input, { frequencies, factor: 1 }, style);
});

/** The same by frequencies of their own, [Dh / 2]; cos and sin are times `factor`. */
export const ropeBy = piecewise(function* (
  input: Omit<RopeInput, 'theta' | 'style'>,
  { frequencies, factor }: { readonly frequencies: readonly number[]; readonly factor: number },
  style: RopeInput['style'] = 'halves',
): Pieces<Float64Array> {
  const { x, numHeads, headDim, positions } = input;
  const half = headDim / 2;
  const rows = positions.length;
  invariant(x.length === rows * numHeads * headDim, () => `rope: ${x.length} elements for ${rows} rows`);
  const y = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < half; i++) {
      const angle = at(positions, row) * at(frequencies, i);
      // A pair that does not turn is not scaled either.
      const by = at(frequencies, i) === 0 ? 1 : factor;
      const cos = Math.cos(angle) * by;
      const sin = Math.sin(angle) * by;
      for (let head = 0; head < numHeads; head++) {
        const start = (row * numHeads + head) * headDim;
        const first = start + (style === 'halves' ? i : 2 * i);
        const second = style === 'halves' ? first + half : first + 1;
        const a = f64At(x, first);
        const b = f64At(x, second);
        y[first] = a * cos - b * sin;
        y[second] = b * cos + a * sin;
      }
    }
    yield;
  }
  return y;
});
