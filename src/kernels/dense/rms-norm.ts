/** RMSNorm with an optional residual that is added first: y = weight * s / sqrt(mean(s^2) + eps), s = x + residual. */
import { requireGiven, requireGpu } from '../../core/given.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { ceilDiv } from '../../core/math.ts';
import { chooseVariant, preferring, spread, type Variant } from '../variants.ts';

const params = { numRows: 'u32', width: 'u32', residualRow: 'u32', eps: 'f32' } as const;
const buffers = {
  x_TD: 'read',
  residual_TD: 'read',
  weight_D: 'read',
  y_TD: 'write',
  sum_TD: 'write',
} as const;
export const RMS_NORM_INTERFACE = { params, buffers };

const rmsNorm = defineKernel({
  shader: 'norm/rms-norm.wgsl',
  spec: { WG: 64, RESIDUAL: false },
  params,
  buffers,
  grid: (_s, p) => spread(p.numRows),
});

const rows = defineKernel({
  shader: 'norm/rms-norm-rows.wgsl',
  spec: { WG: 8, RESIDUAL: false },
  params,
  buffers,
  grid: (_s, p) => spread(ceilDiv(p.numRows, 4)),
});

const held = defineKernel({
  shader: 'norm/rms-norm-held.wgsl',
  spec: { WG: 64, SIDE: 8, VECS: 1, RESIDUAL: false },
  params,
  buffers,
  grid: (_s, p) => spread(p.numRows),
});

/** Lanes of `held`, and their root, by which their sums meet. */
const HELD = [
  { WG: 64, SIDE: 8 },
  { WG: 256, SIDE: 16 },
] as const;

/** vec4 of a lane that fit into its registers, twice. */
const MOST_HELD = 8;

/** As many lanes as have a vec4 each, or a few. */
function heldSpec(width: number): { readonly WG: number; readonly SIDE: number; readonly VECS: number } {
  const vecs = ceilDiv(width, 4);
  const lanes = vecs <= HELD[0].WG ? HELD[0] : HELD[1];
  return { ...lanes, VECS: ceilDiv(vecs, lanes.WG) };
}

/** Rows of `width` values, the eps under the root, and whether a residual is added first. */
export interface RmsNormShape {
  readonly width: number;
  readonly eps: number;
  readonly residual: boolean;
}

/** The variants of RMSNorm. A GPU takes `held` first, a CPU adapter `rows`. */
export const rmsNormVariants: readonly Variant<RmsNormShape, typeof rmsNorm | typeof rows | typeof held>[] = [
  {
    name: 'default',
    idea: 'a workgroup per row, a tree of partial sums',
    kernel: rmsNorm,
    spec: ({ residual }, gpu) => ({ RESIDUAL: residual, WG: gpu.rowLanes }),
    refusal: () => undefined,
  },
  {
    name: 'rows',
    idea: 'a workgroup per 4 rows, vec4 loads, each weight read once for them',
    kernel: rows,
    spec: ({ residual }, gpu) => ({ RESIDUAL: residual, WG: gpu.rowLanes }),
    refusal: inFours,
  },
  {
    name: 'held',
    idea: 'a workgroup per row, which stays in its registers: one round trip, sums of lanes in two steps',
    kernel: held,
    spec: ({ residual, width }) => ({ RESIDUAL: residual, ...heldSpec(width) }),
    refusal: ({ width }) => inFours({ width }) ?? tooWide(width),
  },
];

function inFours({ width }: { readonly width: number }): string | undefined {
  return width % 4 === 0 ? undefined : `the width ${width} is not a multiple of 4`;
}

function tooWide(width: number): string | undefined {
  const { VECS, WG } = heldSpec(width);
  return VECS <= MOST_HELD
    ? undefined
    : `a row of ${width} exceeds the ${4 * WG * MOST_HELD} values that lanes hold`;
}

/** A compiled RMSNorm, to be recorded any number of times: x, residual, y and sum f32 [T, D], weight f32 [D]. */
export interface RmsNorm {
  readonly variant: string;
  /** `sum` receives x + residual; without a residual it is any other buffer and stays as it is. */
  record(
    commands: CommandList,
    p: { numRows: number; residualRow?: number },
    t: { x: Bindable; residual?: Bindable; weight: Bindable; y: Bindable; sum: Bindable },
  ): void;
}

/**
 * Chooses and compiles RMSNorm (Zhang and Sennrich, arXiv 1910.07467) for a shape. `requested` names a variant.
 * @throws ConfigError when the requested variant does not exist or cannot run.
 */
export async function prepareRmsNorm(gpu: Gpu, shape: RmsNormShape, requested?: string): Promise<RmsNorm> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  // A CPU adapter pays for loads; a GPU waits for them, and wants a workgroup per row to be busy with few rows.
  const order = preferring(rmsNormVariants, gpu.kernelsFor === 'gpu' ? 'held' : 'rows');
  const variant = chooseVariant('rms-norm', order, shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  return {
    variant: variant.name,
    record: (commands, { numRows, residualRow = 0 }, { x, residual, weight, y, sum }) => {
      commands.dispatch(
        kernel,
        { numRows, width: shape.width, residualRow, eps: shape.eps },
        { x_TD: x, residual_TD: residual ?? x, weight_D: weight, y_TD: y, sum_TD: sum },
      );
    },
  };
}
