/** The grouped GEMM of experts by matrix units, with the quality of f32. None is a default until it was measured. */
import { ceilDiv } from '../../core/math.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import {
  halvesRefusal,
  LARGE_TILE,
  MATRIX_FEATURES,
  MATRIX_SPEC,
  matrixRefusal,
  matrixSpec,
  type MatrixTile,
  partsFor,
  SMALL_TILE,
} from '../matrix.ts';
import type { Variant } from '../variants.ts';
import { packType } from '../weights.ts';
import { buffers, epilogue, epilogueSpec, type ExpertShape, params, wholeFours } from './expert-family.ts';

/** WIDE is no question here: rows have powers of two of their own, whatever their size. */
function compiledIn({
  FORMAT,
  BF16,
  GATED,
  BIASED,
  GATHER,
  ACT,
}: typeof epilogue): Omit<typeof epilogue, 'WIDE'> {
  return { FORMAT, BF16, GATED, BIASED, GATHER, ACT };
}

export const matrixExpert = defineKernel({
  shader: 'experts/matrix.wgsl',
  spec: { ...MATRIX_SPEC, ...compiledIn(epilogue), Pack: 'vec4<u32>' },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, (s.SUBGROUPS_N * s.REG_N * s.DIM_N) / (s.GATED ? 2 : 1)), 0, 1],
  features: MATRIX_FEATURES,
});

const matrix = (
  name: string,
  idea: string,
  tile: MatrixTile,
): Variant<ExpertShape, typeof matrixExpert> & { readonly tileRows: number } => ({
  ...{ name, idea, kernel: matrixExpert, tileRows: tile.rows },
  spec: (shape, gpu) => ({
    ...matrixSpec(gpu, tile, partsFor(shape.weightDtype)),
    ...compiledIn(epilogueSpec(shape, gpu)),
    Pack: packType(shape.weightDtype),
  }),
  refusal: (shape, gpu) =>
    wholeFours(shape) ??
    halvesRefusal(shape.weightDtype) ??
    matrixRefusal(gpu, tile, partsFor(shape.weightDtype)),
});

export const matrixExperts = [
  matrix('matrix', 'matrix units: halves of f16 that together keep 22 bits, tiles of 64 rows', SMALL_TILE),
  matrix('matrix-128', 'the same in tiles of 128 rows by 128 columns', LARGE_TILE),
];
