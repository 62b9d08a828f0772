/** What all kernels of the dense GEMM have in common: sizes, buffers, parameters, the format of b. */
import type { Gpu } from '../../gpu/gpu.ts';
import { formatOf, type WeightDtype } from '../weights.ts';

/** Sizes of c[M,N] = a[M,K] b[N,K]^T: M = `numRows`, N = `numCols`, K = `depth`, and how b is stored. */
export interface GemmShape {
  /** Rows of a; 0 when they are not known yet. */
  readonly numRows: number;
  readonly numCols: number;
  readonly depth: number;
  readonly weightDtype: WeightDtype;
  /** Numbers at the ends of f32: scales take part half at a time (see `leavesRange`). */
  readonly wide?: boolean | undefined;
  /** A bias [N] is added to every row. */
  readonly biased?: boolean | undefined;
}

export const params = {
  numRows: 'u32',
  numCols: 'u32',
  depth: 'u32',
  scaleStart: 'u32',
  blockGroups: 'u32',
} as const;
export const buffers = { a_MK: 'read', b_NK: 'read', c_MN: 'write', bias_N: 'read' } as const;
export const GEMM_INTERFACE = { params, buffers };

export const formatSpec = (
  { weightDtype, wide = false, biased = false }: GemmShape,
  gpu: Gpu,
): { FORMAT: number; BF16: boolean; WIDE: boolean; BIASED: boolean } => ({
  ...formatOf(weightDtype, gpu),
  WIDE: wide,
  BIASED: biased,
});

export const wholeFours = ({ depth }: GemmShape): string | undefined =>
  depth % 4 === 0 ? undefined : `K = ${depth} is not a multiple of 4`;
