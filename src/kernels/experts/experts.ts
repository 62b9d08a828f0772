/**
 * Grouped GEMM over all local experts in one dispatch, from a tile list that the GPU has built, with the
 * expert's epilogue: y = act(w1 x + b1) * (w3 x + b3). The down projection is the same without gate or activation.
 */
import { requireGiven, requireGpu } from '../../core/given.ts';
import { ceilDiv } from '../../core/math.ts';
import { TILE_WORDS } from '../../core/plan-sizes.ts';
import { type Bindable, viewOf } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel, type SpecChange } from '../../gpu/kernel.ts';
import {
  buffers,
  epilogue,
  epilogueSpec,
  EXPERT_INTERFACE,
  type ExpertShape,
  params,
  wholeFours,
} from './expert-family.ts';
import { matrixExpert, matrixExperts } from './expert-matrix.ts';
import { f16Expert, int8Expert, roundedExperts } from './expert-rounded.ts';
import { hasFewRegisters, hasManyRegisters } from '../registers.ts';
import { broadcastRefusal, broadcastTile, broadcastTileSpec, panelSpec, rowLanes } from '../subgroups.ts';
import { chooseVariant, preferring, type Variant } from '../variants.ts';
import { blockGroups, chunkGroups, isQuantised, packType, scaleStart, wholeChunks } from '../weights.ts';
import { requireIndexable } from '../../tensor/weight-bytes.ts';

export { EXPERT_INTERFACE, type ExpertShape };

const TILE_BLOCK = 16;

/** y of the grid is the number of tiles, which only the GPU knows: it is dispatched indirectly. */
const plain = defineKernel({
  shader: 'experts/plain.wgsl',
  spec: { WG_N: 64, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG_N), 0, 1],
});

const tiled = defineKernel({
  shader: 'experts/tiled.wgsl',
  spec: { THREADS_M: 8, THREADS_N: 8, REG_M: 2, REG_N: 4, TILE_K: 16, OPAQUE: false, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * s.REG_N), 0, 1],
});

const blocked = defineKernel({
  shader: 'experts/blocked.wgsl',
  spec: {
    ...{ THREADS_M: 8, THREADS_N: 8, REG_M: 8, TILE_K: 16, AHEAD: true, OPAQUE: false, Pack: 'vec4<u32>' },
    ...epilogue,
  },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.THREADS_N * (s.GATED ? 4 : 8)), 0, 1],
});

const subgroup = defineKernel({
  shader: 'experts/subgroup.wgsl',
  spec: { WG: 32, LANES: 8, ROWS: 32, STEP: 1, Pack: 'vec4<u32>', ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * (s.GATED ? 2 : 4)), 0, 1],
  features: ['subgroups'],
});

const few = defineKernel({
  shader: 'experts/few.wgsl',
  spec: { WG: 32, LANES: 8, LOADS: 2, WHOLE: false, GROUPS: 1, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), 0, 1],
  features: ['subgroups'],
});

export const vectorKernel = defineKernel({
  shader: 'experts/vector.wgsl',
  spec: { WG: 32, LANES: 8, LOADS: 2, WHOLE: false, DIRECT: false, GROUPS: 1, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), p.numTiles, 1],
  features: ['subgroups'],
});

export const rowKernel = defineKernel({
  shader: 'experts/row.wgsl',
  spec: { WG: 32, TWO_STEPS: false, DIRECT: false, COLUMNS: 4, GROUPS: 1, ...epilogue },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.COLUMNS), p.numTiles, 1],
});

export const rowSpec = (
  shape: ExpertShape,
  gpu: Gpu,
): typeof epilogue & { readonly GROUPS: number; readonly COLUMNS: number } & ReturnType<typeof rowLanes> => ({
  ...epilogueSpec(shape, gpu),
  ...rowLanes(gpu),
  GROUPS: chunkGroups(shape.weightDtype),
  COLUMNS: shape.gated ? 4 : 8,
});

export const vectorSpec = (
  shape: ExpertShape,
  gpu: Gpu,
  loads = 2,
): typeof epilogue & ReturnType<typeof panelSpec> => ({
  ...epilogueSpec(shape, gpu),
  ...panelSpec(gpu, shape, loads),
});

/** What every dispatch of a prepared expert is given. */
export function expertParams(shape: ExpertShape): { readonly [K in keyof typeof params]: number } {
  const { numExperts, depth, numCols, weightDtype } = shape;
  const { alpha, beta, limit } = shape.clamp ?? { alpha: 0, beta: 0, limit: 0 };
  return {
    ...{ depth, numCols, alpha, beta, limit, topK: 1, numTiles: 0 },
    scaleStart: scaleStart(weightDtype, [numExperts, numCols, depth]),
    blockGroups: blockGroups(weightDtype, depth),
  };
}

export interface ExpertVariant extends Variant<
  ExpertShape,
  | typeof plain
  | typeof tiled
  | typeof blocked
  | typeof subgroup
  | typeof few
  | typeof vectorKernel
  | typeof rowKernel
  | typeof matrixExpert
  | typeof f16Expert
  | typeof int8Expert
> {
  /** Most rows of one tile. */
  readonly tileRows: number;
}

const alongLanes = ({ weightDtype, depth }: ExpertShape, gpu: Gpu): string | undefined =>
  wholeChunks(weightDtype, depth) ?? broadcastRefusal(gpu);

const broadcast = (name: string, rows: number): ExpertVariant => ({
  name,
  idea: `rows broadcast within a subgroup, ${rows} x 4 per lane`,
  kernel: subgroup,
  spec: (shape, gpu) => ({
    ...epilogueSpec(shape, gpu),
    ...broadcastTileSpec(gpu, shape.weightDtype, rows),
  }),
  refusal: (shape, gpu) => wholeFours(shape) ?? broadcastRefusal(gpu),
  tileRows: rows,
});

/** Tiles of workgroup storage with so many outputs in the registers of a thread. */
const blocks = (
  name: string,
  rows: number,
  idea: string,
  tile: SpecChange<(typeof blocked)['spec']>,
): ExpertVariant => ({
  ...{ name, idea, kernel: blocked, tileRows: rows },
  spec: (shape, gpu) => ({
    ...epilogueSpec(shape, gpu),
    ...tile,
    AHEAD: hasManyRegisters(gpu),
    Pack: packType(shape.weightDtype),
  }),
  refusal: wholeFours,
});

/** The variants of the grouped GEMM of experts; the rows to expect of one expert decide which one leads. */
export const expertVariants: readonly ExpertVariant[] = [
  broadcast('subgroup', 32),
  broadcast('subgroup-16', 16),
  broadcast('subgroup-8', 8),
  {
    name: 'few',
    idea: 'lanes along k in a subgroup, 4 rows in registers: few rows per expert',
    kernel: few,
    spec: (shape, gpu) => vectorSpec(shape, gpu, chunkGroups(shape.weightDtype) === 8 ? 1 : 2),
    refusal: alongLanes,
    tileRows: 4,
  },
  {
    name: 'vector',
    idea: 'lanes along k in a subgroup, a row in registers: one row per expert',
    kernel: vectorKernel,
    spec: (shape, gpu) => vectorSpec(shape, gpu),
    refusal: alongLanes,
    tileRows: 1,
  },
  {
    name: 'row',
    idea: 'lanes share 8 columns along k: few rows per expert',
    kernel: rowKernel,
    spec: (shape, gpu) => rowSpec(shape, gpu),
    refusal: ({ weightDtype, depth }) => wholeChunks(weightDtype, depth),
    tileRows: 2,
  },
  blocks('blocked', 64, 'tiles of 64 rows, 8 x 8 per thread, the next fetched meanwhile', {}),
  blocks('blocked-32', 32, 'tiles of 32 rows, 4 x 8 per thread', { REG_M: 4, OPAQUE: true }),
  {
    name: 'tiled',
    idea: 'workgroup-memory tiles, any width',
    kernel: tiled,
    spec: (shape, gpu) => ({ ...epilogueSpec(shape, gpu), OPAQUE: hasFewRegisters(gpu) }),
    refusal: () => undefined,
    tileRows: 16,
  },
  {
    name: 'plain',
    idea: 'a thread per column, scalar loads',
    kernel: plain,
    spec: epilogueSpec,
    refusal: () => undefined,
    tileRows: 8,
  },
  ...matrixExperts,
  ...roundedExperts,
];

/** A compiled grouped GEMM, to be recorded any number of times over a tile list whose `grid` the GPU has written. */
export interface ExpertGemm {
  readonly variant: string;
  readonly tileRows: number;
  /** x of the indirect grid. */
  readonly columnGroups: number;
  record(
    commands: CommandList,
    tensors: {
      readonly x: Bindable;
      /** u32, the row of x for each row of the tiles; of a shape that gathers. */
      readonly rowSource?: Bindable | undefined;
      /** Whole weights as `uploadWeight` lays them down. */
      readonly w1: Bindable;
      readonly w3?: Bindable | undefined;
      readonly bias?: Bindable | undefined;
      readonly tiles: Bindable;
      readonly y: Bindable;
      /** Experts that the weights are of, where not of the shape's number. */
      readonly stackExperts?: number | undefined;
    },
    grid: Bindable,
    /** Rows and tiles that the list has at most, where all of them may be too much for one dispatch. */
    most?: { readonly rows: number; readonly tiles: number },
  ): void;
}

/**
 * Chooses and compiles the grouped GEMM of a shape. `requested` names a variant; a plan cuts rows into its `tileRows`.
 * @throws ConfigError when the requested variant does not exist or cannot run, or a stack has 2^32 values.
 */
export async function prepareExpertGemm(
  gpu: Gpu,
  shape: ExpertShape,
  requested?: string,
): Promise<ExpertGemm> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  requireIndexable('The stack of experts', [shape.numExperts, shape.numCols, shape.depth]);
  const order = preferring(expertVariants, preferred(gpu, shape));
  const variant = chooseVariant('moe', order, shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  const values = expertParams(shape);
  const columnGroups = kernel.definition.grid(kernel.spec as never, values)[0];
  const flopsOfRow = 2 * shape.depth * shape.numCols * (shape.gated ? 2 : 1);
  return {
    variant: variant.name,
    tileRows: variant.tileRows,
    columnGroups,
    record: (commands, t, grid, most) => {
      const tensors = {
        x_RK: t.x,
        rowSource: t.rowSource ?? t.tiles,
        w1_ENK: t.w1,
        w3_ENK: t.w3 ?? t.w1,
        bias_E2N: t.bias ?? t.x,
        tiles: t.tiles,
        y_RN: t.y,
      };
      const own =
        t.stackExperts === undefined ? values : expertParams({ ...shape, numExperts: t.stackExperts });
      if (most === undefined || !(most.rows * flopsOfRow > gpu.mostDispatchFlops)) {
        commands.dispatchIndirect(kernel, own, tensors, grid);
        return;
      }
      // Only the device knows how many tiles there are: those that are none have no rows, and cost next to nothing.
      const perDispatch = tilesWithin(gpu.mostDispatchFlops, flopsOfRow * variant.tileRows);
      for (let first = 0; first < most.tiles; first += perDispatch) {
        const tiles = Math.min(perDispatch, most.tiles - first);
        commands.dispatch(kernel, own, { ...tensors, tiles: tilesFrom(t.tiles, first, tiles) }, [
          columnGroups,
          tiles,
          1,
        ]);
      }
    },
  };
}

/** Tiles of one dispatch: a multiple of 16, whose entries of the list are an aligned view. */
function tilesWithin(flops: number, flopsPerTile: number): number {
  return Math.max(TILE_BLOCK, Math.floor(flops / flopsPerTile / TILE_BLOCK) * TILE_BLOCK);
}

function tilesFrom(list: Bindable, first: number, tiles: number): Bindable {
  const { buffer, byteOffset } = viewOf(list);
  const bytes = 4 * TILE_WORDS;
  return buffer.view(byteOffset + bytes * first, bytes * tiles);
}

/**
 * A tile larger than an expert's rows computes rows that are not there. On CPU adapters one row or a few pay for loads
 * of weights only; the largest tile pays where every expert fills some, and never where weights are unpacked.
 */
function preferred(gpu: Gpu, { rowsPerExpert, weightDtype }: ExpertShape): string {
  if (gpu.kernelsFor === 'gpu') {
    if (rowsPerExpert <= 16) return rowsPerExpert <= 2 ? 'row' : 'tiled';
    return rowsPerExpert <= 48 || hasFewRegisters(gpu) ? 'blocked-32' : 'blocked';
  }
  if (rowsPerExpert <= 1) return 'vector';
  if (rowsPerExpert <= 4) return 'few';
  if (rowsPerExpert < 8) return 'subgroup-8';
  return broadcastTile(gpu, rowsPerExpert < 48 || isQuantised(weightDtype) ? 16 : 32);
}
