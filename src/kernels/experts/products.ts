/** Both products of the routed experts over one list of tiles: into their width with the activation, and back out. */
import { requireFields, requireGiven, requireGpu } from '../../core/given.ts';
import type { Activation } from '../../core/activation.ts';
import { tileCapacity } from '../../core/plan-sizes.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { gridsOf, type Tiling } from '../routing/tiling.ts';
import { ableVariants } from '../variants.ts';
import type { WeightDtype } from '../weights.ts';
import { type ExpertShape, expertVariants, prepareExpertGemm } from './experts.ts';

/** E experts of width F between rows of width D, of which every token chooses K. */
export interface RoutedShape {
  readonly numExperts: number;
  readonly topK: number;
  readonly modelDim: number;
  readonly expertDim: number;
  readonly gated: boolean;
  readonly activation: Activation;
  readonly clamp?: ExpertShape['clamp'];
  /** Of w1 and w3, which one dispatch reads, and of w2. */
  readonly upDtype: WeightDtype;
  readonly downDtype: WeightDtype;
  readonly upBiased?: boolean | undefined;
  readonly downBiased?: boolean | undefined;
  /** See `ExpertShape.wide`. */
  readonly upWide?: boolean | undefined;
  readonly downWide?: boolean | undefined;
  /** Whether y is added to a residual. */
  readonly residual: boolean;
}

export interface ExpertShapes {
  readonly up: ExpertShape;
  readonly down: ExpertShape;
}

/** @param rowsPerExpert rows to expect of one expert. @param gather whether rows are read where their tokens lie. */
export function expertShapes(s: RoutedShape, rowsPerExpert: number, gather: boolean): ExpertShapes {
  const both = { numExperts: s.numExperts, rowsPerExpert };
  return {
    up: {
      ...{ ...both, depth: s.modelDim, numCols: s.expertDim, weightDtype: s.upDtype },
      ...{ gated: s.gated, biased: s.upBiased ?? false, activation: s.activation },
      ...(s.clamp && { clamp: s.clamp }),
      ...(s.upWide === true && { wide: true }),
      ...(gather && { gather }),
    },
    down: {
      ...{ ...both, depth: s.expertDim, numCols: s.modelDim, weightDtype: s.downDtype },
      ...{ gated: false, biased: s.downBiased ?? false, activation: 'identity' },
      ...(s.downWide === true && { wide: true }),
    },
  };
}

/** Names of the variants that run both products. */
export function ableProducts(gpu: Gpu, shape: RoutedShape): string[] {
  const { up, down } = expertShapes(shape, 1, true);
  const ableDown = ableVariants('moe', expertVariants, down, gpu);
  return ableVariants('moe', expertVariants, up, gpu).filter((name) => ableDown.includes(name));
}

/** Whole stacks as `uploadWeight` lays them down. */
export interface ExpertWeights {
  readonly w1: Bindable;
  readonly w3?: Bindable | undefined;
  readonly w2: Bindable;
  readonly upBias?: Bindable | undefined;
  readonly downBias?: Bindable | undefined;
  /** Of how many experts; the shape's number when absent. */
  readonly numExperts?: number | undefined;
}

/** What both products read and write: F is the experts' width, D the model's; rows lie as the tiles have them. */
export interface ProductTensors {
  readonly weights: ExpertWeights;
  readonly x: Bindable;
  /** u32, the row of x for each row of the tiles; of products that gather. */
  readonly rowSource?: Bindable | undefined;
  readonly tiles: Bindable;
  /** 8 u32, see `gridsOf`. */
  readonly grid: Bindable;
  /** [rows, F], scratch */
  readonly hidden: Bindable;
  /** [rows, D] */
  readonly y: Bindable;
  /** Rows of the tiles at most: what the plan's tiling was asked for. */
  readonly mostRows: number;
}

/** Both compiled products, to be recorded any number of times over one list of tiles. */
export interface ExpertProducts {
  /** That of the up projection. */
  readonly variant: string;
  /** Most rows of a tile that both can take: one list serves both. */
  readonly tileRows: number;
  /** How a plan must cut at most `rows` rows. */
  tiling(rows: number): Tiling;
  record(commands: CommandList, tensors: ProductTensors): void;
}

/**
 * Chooses and compiles both products for a shape and the rows to expect. `requested` names the variant of both.
 * @throws ConfigError when the requested variant does not exist or cannot run, or a stack has 2^32 values.
 */
export async function prepareProducts(
  gpu: Gpu,
  shape: RoutedShape,
  expect: { readonly rowsPerExpert: number; readonly gather: boolean },
  requested?: string,
): Promise<ExpertProducts> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  requireFields('What is expected', expect, { rowsPerExpert: 'number', gather: 'flag' });
  const shapes = expertShapes(shape, expect.rowsPerExpert, expect.gather);
  const [up, down] = await Promise.all([
    prepareExpertGemm(gpu, shapes.up, requested),
    prepareExpertGemm(gpu, shapes.down, requested),
  ]);
  const tileRows = Math.min(up.tileRows, down.tileRows);
  const columns = { columnGroups: up.columnGroups, downColumnGroups: down.columnGroups };
  return {
    variant: up.variant,
    tileRows,
    tiling: (rows) => ({
      ...{ tileRows, tileCapacity: tileCapacity(rows, shape.numExperts, tileRows) },
      ...columns,
    }),
    record: (commands, { weights, x, rowSource, tiles, grid, hidden, y, mostRows }) => {
      const { w1, w2, w3, upBias, downBias, numExperts: stackExperts } = weights;
      const grids = gridsOf(grid);
      const most = { rows: mostRows, tiles: tileCapacity(mostRows, shape.numExperts, tileRows) };
      const into = { x, rowSource, w1, w3, bias: upBias, tiles, y: hidden, stackExperts };
      up.record(commands, into, grids.up, most);
      down.record(commands, { x: hidden, w1: w2, bias: downBias, tiles, y, stackExperts }, grids.down, most);
    },
  };
}
