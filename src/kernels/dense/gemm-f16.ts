/** The dense GEMM in f16 arithmetic: an error of its own (see `own-budget.ts`). */
import { ceilDiv } from '../../core/math.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import type { Variant } from '../variants.ts';
import { halfRefusal, packType } from '../weights.ts';
import { buffers, formatSpec, type GemmShape, params, wholeFours } from './gemm-family.ts';

export const f16Gemm = defineKernel({
  shader: 'gemm/f16.wgsl',
  spec: {
    ...{ THREADS_M: 8, THREADS_N: 8, TILE_K: 16 },
    ...{ FORMAT: 0, BF16: false, WIDE: false, BIASED: false, Pack: 'vec4<u32>' },
  },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, 8 * s.THREADS_N), ceilDiv(p.numRows, 8 * s.THREADS_M), 1],
  features: ['shader-f16'],
});

export const f16Variant: Variant<GemmShape, typeof f16Gemm> = {
  name: 'f16',
  idea: 'operands rounded to f16, sums of 16 terms in it, tiles of 64 x 64',
  kernel: f16Gemm,
  spec: (shape, gpu) => ({ ...formatSpec(shape, gpu), Pack: packType(shape.weightDtype) }),
  refusal: (shape, gpu) => wholeFours(shape) ?? halfRefusal(gpu),
};
