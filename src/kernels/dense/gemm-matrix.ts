/** The dense GEMM by matrix units. None is a default until it was measured. */
import { ceilDiv } from '../../core/math.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import {
  halvesRefusal,
  LARGE_TILE,
  MATRIX_FEATURES,
  MATRIX_SPEC,
  matrixRefusal,
  matrixSpec,
  type MatrixParts,
  type MatrixTile,
  partsFor,
  SMALL_TILE,
} from '../matrix.ts';
import { packType, type WeightDtype } from '../weights.ts';
import type { Variant } from '../variants.ts';
import { buffers, formatSpec, type GemmShape, params, wholeFours } from './gemm-family.ts';

export const matrixGemm = defineKernel({
  shader: 'gemm/matrix.wgsl',
  spec: { ...MATRIX_SPEC, FORMAT: 0, BF16: false, BIASED: false, Pack: 'vec4<u32>' },
  params,
  buffers,
  grid: (s, p) => [
    ceilDiv(p.numCols, s.SUBGROUPS_N * s.REG_N * s.DIM_N),
    ceilDiv(p.numRows, s.SUBGROUPS_M * s.REG_M * s.DIM_M),
    1,
  ],
  features: MATRIX_FEATURES,
});

const matrix = (
  name: string,
  idea: string,
  tile: MatrixTile,
  parts: (dtype: WeightDtype) => MatrixParts,
): Variant<GemmShape, typeof matrixGemm> => ({
  name,
  idea,
  kernel: matrixGemm,
  spec: (shape, gpu) => {
    const { FORMAT, BF16, BIASED } = formatSpec(shape, gpu);
    const { weightDtype } = shape;
    const compiled = { FORMAT, BF16, BIASED, Pack: packType(weightDtype) };
    return { ...matrixSpec(gpu, tile, parts(weightDtype)), ...compiled };
  },
  refusal: (shape, gpu) =>
    wholeFours(shape) ??
    halvesRefusal(shape.weightDtype) ??
    matrixRefusal(gpu, tile, parts(shape.weightDtype)),
});

/** A single product leaves workgroup storage for a deeper tile. */
const LARGE_IN_F16: MatrixTile = { ...LARGE_TILE, depth: 64 };

export const matrixGemms = [
  matrix(
    'matrix',
    'matrix units: halves of f16 that together keep 22 bits, tiles of 64 x 64',
    SMALL_TILE,
    partsFor,
  ),
  matrix('matrix-128', 'the same in tiles of 128 x 128', LARGE_TILE, partsFor),
  matrix(
    'matrix-f16',
    'matrix units: operands rounded to f16, sums in f32, tiles of 64 x 64',
    SMALL_TILE,
    () => 1,
  ),
  matrix('matrix-f16-128', 'the same in tiles of 128 x 128', LARGE_IN_F16, () => 1),
];
