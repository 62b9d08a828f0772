/** Rows that are not finite: what reads beyond its own row meets them, and a factor of 0 does not hide them. */
import type { Tensor } from '../../tensor/tensor.ts';
import type { Maker } from './maker.ts';

/** The tensor with row `first` beginning with Inf and row `last` ending with it. Both are positive else, so that sums are Inf. */
export function infiniteRows(make: Maker, t: Tensor, first: number, last: number): Tensor {
  const width = t.shape.at(-1) ?? 1;
  return make.filled(t.shape, (i) => {
    const row = Math.floor(i / width);
    if (i === first * width || i === (last + 1) * width - 1) return Infinity;
    const value = t.data[i] ?? 0;
    return row === first || row === last ? Math.abs(value) : value;
  });
}
