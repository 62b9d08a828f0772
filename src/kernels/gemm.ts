/** Dense GEMM against weights as they are stored: c[M,N] = a[M,K] b[N,K]^T. a and c in f32, b in f32 or f16. */
import type { CommandList } from '../gpu/command-list.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { ceilDiv } from '../core/math.ts';
import { broadcastRefusal, broadcastSpec } from './subgroups.ts';
import { chooseVariant, preferring, type Variant } from './variants.ts';
import { isQuantised, type WeightDtype } from './weights.ts';

export type { WeightDtype };

export interface GemmShape {
  /** Rows of a; 0 when they are not known yet. */
  readonly numRows: number;
  readonly numCols: number;
  readonly depth: number;
  readonly weightDtype: WeightDtype;
}

/** y of a grid: the specification's least limit. */
const MOST_GRID_ROWS = 65535;

const params = { numRows: 'u32', numCols: 'u32', depth: 'u32' } as const;
const buffers = { a_MK: 'read', b_NK: 'read', c_MN: 'write' } as const;

const plain = defineKernel({
  shader: 'gemm/plain.wgsl',
  spec: { WG_M: 8, WG_N: 8, B_F16: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG_N), ceilDiv(p.numRows, s.WG_M), 1],
});

const tiled = defineKernel({
  shader: 'gemm/tiled.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, REG_M: 4, REG_N: 4, TILE_K: 16, B_F16: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * s.REG_N), ceilDiv(p.numRows, s.THREADS_M * s.REG_M), 1],
});

const register = defineKernel({
  shader: 'gemm/register.wgsl',
  spec: { THREADS_M: 4, THREADS_N: 8, B_F16: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * 4), ceilDiv(p.numRows, s.THREADS_M * 4), 1],
});

const subgroup = defineKernel({
  shader: 'gemm/subgroup.wgsl',
  spec: { WG: 32, HELD: 1, B_F16: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), ceilDiv(p.numRows, 8), 1],
  features: ['subgroups'],
});

const row = defineKernel({
  shader: 'gemm/row.wgsl',
  spec: { WG: 32, B_F16: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG), p.numRows, 1],
});

const weightSpec = (shape: GemmShape): { B_F16: boolean } => ({ B_F16: shape.weightDtype === 'f16' });

const floatsOnly = ({ weightDtype }: GemmShape): string | undefined =>
  isQuantised(weightDtype) ? `it does not read ${weightDtype} weights` : undefined;

const wholeFours = (shape: GemmShape): string | undefined =>
  floatsOnly(shape) ?? (shape.depth % 4 === 0 ? undefined : `K = ${shape.depth} is not a multiple of 4`);

export const gemmVariants: readonly Variant<
  GemmShape,
  typeof plain | typeof tiled | typeof register | typeof subgroup | typeof row
>[] = [
  {
    name: 'subgroup',
    idea: 'rows of a broadcast within a subgroup, 8 x 4 per lane',
    kernel: subgroup,
    spec: (shape, gpu) => ({ ...weightSpec(shape), ...broadcastSpec(gpu) }),
    refusal: (shape, gpu) => wholeFours(shape) ?? broadcastRefusal(gpu),
  },
  {
    name: 'register',
    idea: '4 x 4 register tile, vec4 loads along k, no barrier',
    kernel: register,
    spec: weightSpec,
    refusal: wholeFours,
  },
  {
    name: 'row',
    idea: 'a thread per output, vec4 loads along k: few rows',
    kernel: row,
    spec: weightSpec,
    refusal: (shape) =>
      wholeFours(shape) ??
      (shape.numRows <= MOST_GRID_ROWS
        ? undefined
        : `${shape.numRows} rows exceed a grid's ${MOST_GRID_ROWS}`),
  },
  {
    name: 'tiled',
    idea: 'workgroup-memory tiles, any K',
    kernel: tiled,
    spec: weightSpec,
    refusal: floatsOnly,
  },
  {
    name: 'plain',
    idea: 'a thread per output, scalar loads',
    kernel: plain,
    spec: weightSpec,
    refusal: floatsOnly,
  },
];

export interface Gemm {
  readonly variant: string;
  record(
    commands: CommandList,
    numRows: number,
    tensors: {
      readonly a: GpuBuffer | BufferView;
      readonly b: GpuBuffer | BufferView;
      readonly c: GpuBuffer | BufferView;
    },
  ): void;
}

/** @throws ConfigError when the requested variant does not exist or cannot run. */
export async function prepareGemm(gpu: Gpu, shape: GemmShape, requested?: string): Promise<Gemm> {
  const variant = chooseVariant('gemm', preferred(gpu, shape), shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  const { numCols, depth } = shape;
  return {
    variant: variant.name,
    record: (commands, numRows, { a, b, c }) => {
      commands.dispatch(kernel, { numRows, numCols, depth }, { a_MK: a, b_NK: b, c_MN: c });
    },
  };
}

/**
 * Best first. On a GPU, operands shared through workgroup storage win; on a CPU adapter a barrier costs more than a
 * load, and a broadcast less. With few rows, a tile computes rows that are not there.
 */
function preferred(gpu: Gpu, { numRows }: GemmShape): typeof gemmVariants {
  const onCpu = numRows <= 4 ? 'register' : 'subgroup';
  const best = numRows < 4 ? 'row' : gpu.facts.kind === 'gpu' ? 'tiled' : onCpu;
  return preferring(gemmVariants, best);
}
