/** What all kernels of the experts' grouped GEMM have in common: sizes, buffers, parameters, what follows the product. */
import type { Activation } from '../../core/activation.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { formatOf, type WeightDtype } from '../weights.ts';

/**
 * One product of E experts over the rows that chose them: `depth` values in, `numCols` out, with what follows the
 * product.
 */
export interface ExpertShape {
  readonly numExperts: number;
  /** Columns of the input rows. */
  readonly depth: number;
  /** Columns of the output rows. */
  readonly numCols: number;
  readonly weightDtype: WeightDtype;
  readonly gated: boolean;
  readonly biased: boolean;
  readonly activation: Activation;
  /** Rows to expect of one expert: few rows want small tiles. */
  readonly rowsPerExpert: number;
  /** Row r of the tiles is row `rowSource[r]` of x, so that nothing needs to be permuted before. False by default. */
  readonly gather?: boolean;
  /** Numbers at the ends of f32: scales take part half at a time (see `leavesRange`). */
  readonly wide?: boolean | undefined;
  /** Constants of `swiglu_oai` (gpt-oss: 1.702, 1, 7); unused otherwise. */
  readonly clamp?: { readonly alpha: number; readonly beta: number; readonly limit: number };
}

export const params = {
  depth: 'u32',
  numCols: 'u32',
  scaleStart: 'u32',
  blockGroups: 'u32',
  topK: 'u32',
  numTiles: 'u32',
  alpha: 'f32',
  beta: 'f32',
  limit: 'f32',
} as const;
export const buffers = {
  x_RK: 'read',
  rowSource: 'read',
  w1_ENK: 'read',
  w3_ENK: 'read',
  bias_E2N: 'read',
  tiles: 'read',
  y_RN: 'write',
} as const;
export const EXPERT_INTERFACE = { params, buffers };
export const epilogue = {
  ...{ FORMAT: 0, BF16: false, WIDE: false },
  ...{ GATED: true, BIASED: false, GATHER: false, ACT: 1 },
};

const ACTIVATION_CODE: Record<Activation, number> = { identity: 0, silu: 1, gelu: 2, relu: 3, swiglu_oai: 4 };

export const epilogueSpec = (shape: ExpertShape, gpu: Gpu): typeof epilogue => ({
  ...formatOf(shape.weightDtype, gpu),
  WIDE: shape.wide ?? false,
  GATED: shape.gated,
  BIASED: shape.biased,
  GATHER: shape.gather === true,
  ACT: ACTIVATION_CODE[shape.activation],
});

export const wholeFours = ({ depth }: ExpertShape): string | undefined =>
  depth % 4 === 0 ? undefined : `the input width ${depth} is not a multiple of 4`;
