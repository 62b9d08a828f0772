/** Dense GEMM against weights as they are stored: c[M,N] = a[M,K] b[N,K]^T. a and c in f32, b in any format. */
import { invariant } from '../../core/errors.ts';
import { requireGiven, requireGpu } from '../../core/given.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { type Bindable, viewOf } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel, type SpecChange } from '../../gpu/kernel.ts';
import { ceilDiv } from '../../core/math.ts';
import { hasFewRegisters, hasManyRegisters } from '../registers.ts';
import { buffers, formatSpec, GEMM_INTERFACE, type GemmShape, params, wholeFours } from './gemm-family.ts';
import { f16Gemm, f16Variant } from './gemm-f16.ts';
import { int8Gemm, int8Variant } from './gemm-int8.ts';
import { matrixGemm, matrixGemms } from './gemm-matrix.ts';
import { broadcastRefusal, broadcastTile, broadcastTileSpec, panelSpec, rowLanes } from '../subgroups.ts';
import { chooseVariant, preferring, type Variant } from '../variants.ts';
import { blockGroups, chunkGroups, packType, scaleStart, type WeightDtype, wholeChunks } from '../weights.ts';
import { requireIndexable } from '../../tensor/weight-bytes.ts';

export { GEMM_INTERFACE, type GemmShape, type WeightDtype };

const ROW_BLOCK = 64;

/** y of a grid: the specification's least limit. */
const MOST_GRID_ROWS = 65535;

const plain = defineKernel({
  shader: 'gemm/plain.wgsl',
  spec: { WG_M: 8, WG_N: 8, FORMAT: 0, BF16: false, WIDE: false, BIASED: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG_N), ceilDiv(p.numRows, s.WG_M), 1],
});

const tiled = defineKernel({
  shader: 'gemm/tiled.wgsl',
  spec: {
    THREADS_M: 8,
    THREADS_N: 8,
    REG_M: 4,
    REG_N: 4,
    TILE_K: 16,
    FORMAT: 0,
    BF16: false,
    WIDE: false,
    BIASED: false,
  },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * s.REG_N), ceilDiv(p.numRows, s.THREADS_M * s.REG_M), 1],
});

const blocked = defineKernel({
  shader: 'gemm/blocked.wgsl',
  spec: {
    ...{ THREADS_M: 8, THREADS_N: 8, REG_M: 8, REG_N: 8, TILE_K: 16, AHEAD: true, OPAQUE: false },
    ...{ FORMAT: 0, BF16: false, WIDE: false, BIASED: false, Pack: 'vec4<u32>' },
  },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * s.REG_N), ceilDiv(p.numRows, s.THREADS_M * s.REG_M), 1],
});

const subgroup = defineKernel({
  shader: 'gemm/subgroup.wgsl',
  spec: {
    WG: 32,
    LANES: 8,
    ROWS: 32,
    STEP: 1,
    FORMAT: 0,
    BF16: false,
    WIDE: false,
    BIASED: false,
    Pack: 'vec4<u32>',
  },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), ceilDiv(p.numRows, s.ROWS), 1],
  features: ['subgroups'],
});

const row = defineKernel({
  shader: 'gemm/row.wgsl',
  spec: { WG: 32, TWO_STEPS: false, FORMAT: 0, BF16: false, WIDE: false, BIASED: false, GROUPS: 1 },
  params,
  buffers,
  grid: (_s, p) => [ceilDiv(p.numCols, 8), p.numRows, 1],
});

const vector = defineKernel({
  shader: 'gemm/vector.wgsl',
  spec: {
    WG: 32,
    LANES: 8,
    FORMAT: 0,
    BF16: false,
    WIDE: false,
    BIASED: false,
    GROUPS: 1,
    LOADS: 4,
    WHOLE: false,
  },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), p.numRows, 1],
  features: ['subgroups'],
});

type GemmVariant = Variant<
  GemmShape,
  | typeof plain
  | typeof tiled
  | typeof blocked
  | typeof subgroup
  | typeof vector
  | typeof row
  | typeof matrixGemm
  | typeof int8Gemm
  | typeof f16Gemm
>;

const rowRefusal = ({ depth, weightDtype, numRows }: GemmShape): string | undefined =>
  wholeChunks(weightDtype, depth) ??
  (numRows <= MOST_GRID_ROWS ? undefined : `${numRows} rows exceed a grid's ${MOST_GRID_ROWS}`);

const broadcast = (name: string, rows: number): GemmVariant => ({
  name,
  idea: `rows of a broadcast within a subgroup, ${rows} x 4 per lane`,
  kernel: subgroup,
  spec: (shape, gpu) => ({
    ...formatSpec(shape, gpu),
    ...broadcastTileSpec(gpu, shape.weightDtype, rows),
  }),
  refusal: (shape, gpu) => wholeFours(shape) ?? broadcastRefusal(gpu),
});

/** Tiles of workgroup storage with so many outputs in the registers of a thread. */
const blocks = (name: string, idea: string, tile: SpecChange<(typeof blocked)['spec']>): GemmVariant => ({
  name,
  idea,
  kernel: blocked,
  spec: (shape, gpu) => ({
    ...formatSpec(shape, gpu),
    ...tile,
    AHEAD: hasManyRegisters(gpu),
    Pack: packType(shape.weightDtype),
  }),
  refusal: wholeFours,
});

/** The variants of the dense GEMM. The device and the number of rows decide which one leads. */
export const gemmVariants: readonly GemmVariant[] = [
  broadcast('subgroup', 32),
  broadcast('subgroup-16', 16),
  broadcast('subgroup-8', 8),
  {
    name: 'vector',
    idea: 'lanes along k in a subgroup, a in registers: one or two rows',
    kernel: vector,
    spec: (shape, gpu) => ({
      ...formatSpec(shape, gpu),
      ...panelSpec(gpu, shape, shape.weightDtype === 'int8' ? 2 : 4),
    }),
    refusal: (shape, gpu) => rowRefusal(shape) ?? broadcastRefusal(gpu),
  },
  {
    name: 'row',
    idea: 'lanes share 8 outputs along k: few rows',
    kernel: row,
    spec: (shape, gpu) => ({
      ...formatSpec(shape, gpu),
      GROUPS: chunkGroups(shape.weightDtype),
      ...rowLanes(gpu),
    }),
    refusal: rowRefusal,
  },
  blocks('blocked', 'tiles of 64 x 64, 8 x 8 per thread, the next fetched meanwhile', {}),
  blocks('blocked-128', 'tiles of 128 x 64, 8 x 8 per thread', { THREADS_M: 16 }),
  blocks('blocked-small', 'tiles of 32 x 32, 4 x 4 per thread', {
    REG_M: 4,
    REG_N: 4,
    TILE_K: 32,
    OPAQUE: true,
  }),
  {
    name: 'tiled',
    idea: 'workgroup-memory tiles, any K',
    kernel: tiled,
    spec: formatSpec,
    refusal: () => undefined,
  },
  {
    name: 'plain',
    idea: 'a thread per output, scalar loads',
    kernel: plain,
    spec: formatSpec,
    refusal: () => undefined,
  },
  ...matrixGemms,
  int8Variant,
  f16Variant,
];

/** A compiled dense GEMM, to be recorded any number of times: a f32 [M, K], b [N, K], c f32 [M, N]. */
export interface Gemm {
  readonly variant: string;
  /** `b` is a whole weight as `uploadWeight` lays it down, scales included. */
  record(
    commands: CommandList,
    numRows: number,
    tensors: {
      readonly a: Bindable;
      readonly b: Bindable;
      readonly c: Bindable;
      /** f32 [N], of a biased shape. */
      readonly bias?: Bindable | undefined;
    },
  ): void;
}

/**
 * Chooses and compiles a dense GEMM for a shape. `requested` names a variant; by default the device's best is taken.
 * @throws ConfigError when the requested variant does not exist or cannot run, or b has 2^32 values.
 */
export async function prepareGemm(gpu: Gpu, shape: GemmShape, requested?: string): Promise<Gemm> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  requireIndexable('The matrix b', [shape.numCols, shape.depth]);
  const variant = chooseVariant('matmul', preferred(gpu, shape), shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  const { numCols, depth, weightDtype, biased = false } = shape;
  const fixed = {
    numCols,
    depth,
    scaleStart: scaleStart(weightDtype, [numCols, depth]),
    blockGroups: blockGroups(weightDtype, depth),
  };
  return {
    variant: variant.name,
    record: (commands, numRows, { a, b, c, bias }) => {
      invariant((bias !== undefined) === biased, () => 'matmul: a bias and no use for it, or none');
      const most = rowsWithin(gpu.mostDispatchFlops, 2 * numCols * depth);
      for (let first = 0; first < numRows; first += most) {
        const rows = Math.min(most, numRows - first);
        const [own, to] =
          rows === numRows ? [a, c] : [rowsFrom(a, first, rows, depth), rowsFrom(c, first, rows, numCols)];
        commands.dispatch(
          kernel,
          { numRows: rows, ...fixed },
          { a_MK: own, b_NK: b, c_MN: to, bias_N: bias ?? a },
        );
      }
    },
  };
}

/** Rows of one dispatch: whole blocks of 64, whose views are aligned whatever their width. */
function rowsWithin(flops: number, flopsPerRow: number): number {
  return Math.max(ROW_BLOCK, Math.floor(flops / flopsPerRow / ROW_BLOCK) * ROW_BLOCK);
}

/** Rows of f32 from `first` on. */
function rowsFrom(source: Bindable, first: number, rows: number, width: number): Bindable {
  const { buffer, byteOffset } = viewOf(source);
  return buffer.view(byteOffset + 4 * first * width, 4 * rows * width);
}

/**
 * Best first. On a GPU, operands shared through workgroup storage win, by what compilers make of it (`bench/isa`) until the
 * tuner has measured; on a CPU adapter a barrier costs more than a load, and a broadcast less. With few rows, a tile computes
 * rows that are not there: the small tile up to 48 rows (a guess).
 */
function preferred(gpu: Gpu, { numRows }: GemmShape): typeof gemmVariants {
  if (gpu.kernelsFor === 'gpu') {
    if (numRows <= 2) return preferring(gemmVariants, 'row');
    return preferring(gemmVariants, numRows <= 48 || hasFewRegisters(gpu) ? 'blocked-small' : 'blocked');
  }
  if (numRows <= 2) return preferring(gemmVariants, 'vector');
  return preferring(gemmVariants, broadcastTile(gpu, numRows <= 8 ? 8 : numRows <= 16 ? 16 : 32));
}
