/** Root-mean-square normalisation. T tokens, D width. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { invariant } from '../core/errors.ts';
import { add, dot, f64At } from './f64.ts';

export interface RmsNormInput {
  readonly x_TD: Float64Array;
  readonly weight_D: Float64Array;
  /** Added to x first, as kernels that fuse the residual connection do. */
  readonly residual_TD?: Float64Array;
  readonly eps: number;
}

/**
 * s = x + residual; y = weight s / sqrt(mean(s^2) + eps), row by row. Returns y and the sum s.
 * x = [3, 4], weight = [1, 2], eps = 0: mean of squares 12.5, y = [0.8485, 2.2627].
 */
export const rmsNorm = piecewise(function* (
  input: RmsNormInput,
): Pieces<{ y_TD: Float64Array; sum_TD: Float64Array }> {
  const { x_TD, weight_D, residual_TD, eps } = input;
  const width = weight_D.length;
  invariant(width > 0 && x_TD.length % width === 0, () => `rmsNorm: ${x_TD.length} is not rows of ${width}`);
  const sum_TD = residual_TD === undefined ? x_TD : add(x_TD, residual_TD);
  const y_TD = new Float64Array(sum_TD.length);
  for (let row = 0; row < sum_TD.length; row += width) {
    const scale = 1 / Math.sqrt(dot(sum_TD, row, sum_TD, row, width) / width + eps);
    for (let d = 0; d < width; d++) y_TD[row + d] = f64At(weight_D, d) * f64At(sum_TD, row + d) * scale;
    yield;
  }
  return { y_TD, sum_TD };
});
