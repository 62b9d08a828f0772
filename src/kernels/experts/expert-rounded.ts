/** The grouped GEMM of experts on rounded operands, with errors of their own (see `own-budget.ts`): in f16, and in int8. */
import { ceilDiv } from '../../core/math.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import type { Variant } from '../variants.ts';
import { dotRefusal, halfRefusal, packType } from '../weights.ts';
import { buffers, epilogue, epilogueSpec, type ExpertShape, params, wholeFours } from './expert-family.ts';

const TILE_ROWS = 64;
/** Columns of a workgroup; gated, half of them are of w3. */
const TILE_COLUMNS = 64;

const grid = (gated: boolean, numCols: number): readonly [number, number, number] => [
  ceilDiv(numCols, gated ? TILE_COLUMNS / 2 : TILE_COLUMNS),
  0,
  1,
];

export const f16Expert = defineKernel({
  shader: 'experts/f16.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, TILE_K: 16, ...epilogue, Pack: 'vec4<u32>' },
  params,
  buffers,
  grid: (s, p) => grid(s.GATED, p.numCols),
  features: ['shader-f16'],
});

const { GATED, BIASED, GATHER, ACT } = epilogue;

export const int8Expert = defineKernel({
  shader: 'experts/int8.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, WORDS: 8, GATED, BIASED, GATHER, ACT },
  params,
  buffers,
  grid: (s, p) => grid(s.GATED, p.numCols),
});

type Tiled<D extends typeof f16Expert | typeof int8Expert> = Variant<ExpertShape, D> & {
  readonly tileRows: number;
};

const inF16: Tiled<typeof f16Expert> = {
  name: 'f16',
  idea: 'operands rounded to f16, sums of 16 terms in it, tiles of 64 rows',
  kernel: f16Expert,
  spec: (shape, gpu) => ({ ...epilogueSpec(shape, gpu), Pack: packType(shape.weightDtype) }),
  refusal: (shape, gpu) => wholeFours(shape) ?? halfRefusal(gpu),
  tileRows: TILE_ROWS,
};

const inInt8: Tiled<typeof int8Expert> = {
  name: 'int8',
  idea: 'rows of x rounded to int8 as well, products of four bytes, tiles of 64 rows',
  kernel: int8Expert,
  spec: (shape, gpu) => {
    const own = epilogueSpec(shape, gpu);
    return { GATED: own.GATED, BIASED: own.BIASED, GATHER: own.GATHER, ACT: own.ACT };
  },
  refusal: (shape, gpu) => dotRefusal(shape, gpu) ?? wholeFours(shape),
  tileRows: TILE_ROWS,
};

export const roundedExperts = [inF16, inInt8];
