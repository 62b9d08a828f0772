/**
 * Grouped GEMM over all local experts in one dispatch, from a tile list that the GPU has built, with the
 * expert's epilogue: y = act(w1 x + b1) * (w3 x + b3). The down projection is the same without gate or activation.
 */
import type { Activation } from '../core/activation.ts';
import { ceilDiv } from '../core/math.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { broadcastRefusal, broadcastSpec } from './subgroups.ts';
import { chooseVariant, preferring, type Variant } from './variants.ts';
import { isQuantised, type WeightDtype } from './weights.ts';

export interface ExpertShape {
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
  /** Constants of `swiglu_oai` (gpt-oss: 1.702, 1, 7); unused otherwise. */
  readonly clamp?: { readonly alpha: number; readonly beta: number; readonly limit: number };
}

const params = { depth: 'u32', numCols: 'u32', alpha: 'f32', beta: 'f32', limit: 'f32' } as const;
const buffers = {
  x_RK: 'read',
  w1_ENK: 'read',
  w3_ENK: 'read',
  bias_E2N: 'read',
  tiles: 'read',
  y_RN: 'write',
} as const;
const epilogue = { W_F16: false, GATED: true, BIASED: false, ACT: 1 };

/** y of the grid is the number of tiles, which only the GPU knows: it is dispatched indirectly, or bounded. */
const plain = defineKernel({
  shader: 'experts/plain.wgsl',
  spec: { WG_N: 64, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG_N), 0, 1],
});

const tiled = defineKernel({
  shader: 'experts/tiled.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, REG_M: 2, REG_N: 4, TILE_K: 16, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * s.REG_N), 0, 1],
});

const register = defineKernel({
  shader: 'experts/register.wgsl',
  spec: { THREADS_M: 2, THREADS_N: 16, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * 4), 0, 1],
});

const subgroup = defineKernel({
  shader: 'experts/subgroup.wgsl',
  spec: { WG: 32, HELD: 1, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), 0, 1],
  features: ['subgroups'],
});

const row = defineKernel({
  shader: 'experts/row.wgsl',
  spec: { WG: 32, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG), 0, 1],
});

const ACTIVATION_CODE: Record<Activation, number> = { identity: 0, silu: 1, gelu: 2, relu: 3, swiglu_oai: 4 };

const epilogueSpec = (shape: ExpertShape): typeof epilogue => ({
  W_F16: shape.weightDtype === 'f16',
  GATED: shape.gated,
  BIASED: shape.biased,
  ACT: ACTIVATION_CODE[shape.activation],
});

interface ExpertVariant extends Variant<
  ExpertShape,
  typeof plain | typeof tiled | typeof register | typeof subgroup | typeof row
> {
  /** Most rows of one tile. */
  readonly tileRows: () => number;
}

const floatsOnly = ({ weightDtype }: ExpertShape): string | undefined =>
  isQuantised(weightDtype) ? `it does not read ${weightDtype} weights` : undefined;

const wholeFours = (shape: ExpertShape): string | undefined =>
  floatsOnly(shape) ??
  (shape.depth % 4 === 0 ? undefined : `the input width ${shape.depth} is not a multiple of 4`);

const fewRows = (shape: ExpertShape): boolean => shape.rowsPerExpert <= 2;

export const expertVariants: readonly ExpertVariant[] = [
  {
    name: 'subgroup',
    idea: 'rows broadcast within a subgroup, 8 x 4 per lane',
    kernel: subgroup,
    spec: (shape, gpu) => ({ ...epilogueSpec(shape), ...broadcastSpec(gpu) }),
    refusal: (shape, gpu) => wholeFours(shape) ?? broadcastRefusal(gpu),
    tileRows: () => 8,
  },
  {
    name: 'register',
    idea: '4 x 4 register tile, vec4 loads along k, no barrier',
    kernel: register,
    spec: epilogueSpec,
    refusal: wholeFours,
    tileRows: () => 8,
  },
  {
    name: 'row',
    idea: 'a thread per column, vec4 loads along k: few rows per expert',
    kernel: row,
    spec: epilogueSpec,
    refusal: wholeFours,
    tileRows: () => 2,
  },
  {
    name: 'tiled',
    idea: 'workgroup-memory tiles, any width',
    kernel: tiled,
    spec: epilogueSpec,
    refusal: floatsOnly,
    tileRows: () => 16,
  },
  {
    name: 'plain',
    idea: 'a thread per column, scalar loads',
    kernel: plain,
    spec: epilogueSpec,
    refusal: floatsOnly,
    tileRows: () => 8,
  },
];

export interface ExpertGemm {
  readonly variant: string;
  readonly tileRows: number;
  /** x of the indirect grid. */
  readonly columnGroups: number;
  record(
    commands: CommandList,
    tensors: {
      readonly x: GpuBuffer | BufferView;
      readonly w1: GpuBuffer | BufferView;
      readonly w3?: GpuBuffer | BufferView | undefined;
      readonly bias?: GpuBuffer | BufferView | undefined;
      readonly tiles: GpuBuffer | BufferView;
      readonly y: GpuBuffer | BufferView;
    },
    grid: GpuBuffer | BufferView,
  ): void;
}

/** @throws ConfigError when the requested variant does not exist or cannot run. */
export async function prepareExpertGemm(
  gpu: Gpu,
  shape: ExpertShape,
  requested?: string,
): Promise<ExpertGemm> {
  const best = fewRows(shape) ? 'row' : gpu.facts.kind === 'gpu' ? 'tiled' : 'subgroup';
  const variant = chooseVariant('experts', preferring(expertVariants, best), shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  const { alpha, beta, limit } = shape.clamp ?? { alpha: 0, beta: 0, limit: 0 };
  const values = { depth: shape.depth, numCols: shape.numCols, alpha, beta, limit };
  return {
    variant: variant.name,
    tileRows: variant.tileRows(),
    columnGroups: kernel.definition.grid(kernel.spec as never, values)[0],
    record: (commands, t, grid) => {
      commands.dispatchIndirect(
        kernel,
        values,
        { x_RK: t.x, w1_ENK: t.w1, w3_ENK: t.w3 ?? t.w1, bias_E2N: t.bias ?? t.x, tiles: t.tiles, y_RN: t.y },
        grid,
      );
    },
  };
}
