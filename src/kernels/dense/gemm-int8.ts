/** The dense GEMM with activations in int8 too: sums of whole numbers, and an error of its own (see `own-budget.ts`). */
import { ceilDiv } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import type { Variant } from '../variants.ts';
import { buffers, type GemmShape, params, wholeFours } from './gemm-family.ts';

export const int8Gemm = defineKernel({
  shader: 'gemm/int8.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, WORDS: 8, BIASED: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, 8 * s.THREADS_N), ceilDiv(p.numRows, 8 * s.THREADS_M), 1],
});

/** WGSL's products of four bytes each, with a sum. */
const DOT = 'packed_4x8_integer_dot_product';

/** Terms of at most 127^2 whose sum 32 bits hold. */
const MOST_DEPTH = Math.floor((2 ** 31 - 1) / 127 ** 2 / 4) * 4;

function refusal(shape: GemmShape, gpu: Gpu): string | undefined {
  const { weightDtype, depth } = shape;
  if (weightDtype !== 'int8') return `its weights are int8, these are ${weightDtype}`;
  if (!gpu.speaks(DOT)) return `the adapter's WGSL has no ${DOT}`;
  if (depth > MOST_DEPTH) return `K = ${depth} exceeds ${MOST_DEPTH}: sums would leave 32 bits`;
  return wholeFours(shape);
}

export const int8Variant: Variant<GemmShape, typeof int8Gemm> = {
  name: 'int8',
  idea: 'rows of a rounded to int8 as well, products of four bytes, tiles of 64 x 64',
  kernel: int8Gemm,
  spec: ({ biased = false }) => ({ BIASED: biased }),
  refusal,
};
