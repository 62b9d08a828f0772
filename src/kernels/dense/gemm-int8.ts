/** The dense GEMM with activations in int8 too: sums of whole numbers, and an error of its own (see `own-budget.ts`). */
import { ceilDiv } from '../../core/math.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import type { Variant } from '../variants.ts';
import { dotRefusal } from '../weights.ts';
import { buffers, type GemmShape, params, wholeFours } from './gemm-family.ts';

export const int8Gemm = defineKernel({
  shader: 'gemm/int8.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, WORDS: 8, BIASED: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, 8 * s.THREADS_N), ceilDiv(p.numRows, 8 * s.THREADS_M), 1],
});

export const int8Variant: Variant<GemmShape, typeof int8Gemm> = {
  name: 'int8',
  idea: 'rows of a rounded to int8 as well, products of four bytes, tiles of 64 x 64',
  kernel: int8Gemm,
  spec: ({ biased = false }) => ({ BIASED: biased }),
  refusal: (shape, gpu) => dotRefusal(shape, gpu) ?? wholeFours(shape),
};
