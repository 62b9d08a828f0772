/**
 * The plan of a routed layer, made on the GPU: stable places for all choices sorted by expert (histogram, scan,
 * scatter), and on the owner's side the places of received rows and the tile list of the grouped GEMM.
 */
import { ceilDiv } from '../../core/math.ts';
import { PLAN_BLOCK as BLOCK } from '../../core/plan-sizes.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { powerOfTwo, spread } from '../variants.ts';
import type { Tiling } from './tiling.ts';

/** Up to here one workgroup plans alone. A guess. */
export const ONE_DISPATCH_CHOICES = 1024;

export const histogram = defineKernel({
  shader: 'routing/histogram.wgsl',
  spec: { WG: 64, BLOCK, MAX_EXPERTS: 256 },
  params: { numChoices: 'u32', numExperts: 'u32' },
  buffers: { ids_TK: 'read', blockCount_BE: 'write' },
  grid: (s, p) => spread(ceilDiv(p.numChoices, s.BLOCK)),
});

const scan = defineKernel({
  shader: 'routing/scan.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256 },
  params: { numBlocks: 'u32', numExperts: 'u32' },
  buffers: { blockStart_BE: 'readwrite', start_E: 'write' },
  grid: () => [1, 1, 1],
});

export const scatter = defineKernel({
  shader: 'routing/scatter.wgsl',
  spec: { WG: 64, BLOCK, MAX_EXPERTS: 256 },
  params: { numChoices: 'u32', numExperts: 'u32', topK: 'u32' },
  buffers: { ids_TK: 'read', blockStart_BE: 'read', slot_TK: 'write', rowToken_R: 'write' },
  grid: (s, p) => spread(ceilDiv(p.numChoices, s.BLOCK)),
});

const planSmall = defineKernel({
  shader: 'routing/plan-small.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256 },
  params: { numChoices: 'u32', numExperts: 'u32', topK: 'u32' },
  buffers: { ids_TK: 'read', start_E: 'write', slot_TK: 'write', rowToken_R: 'write' },
  grid: () => [1, 1, 1],
});

const receivePlan = defineKernel({
  shader: 'routing/receive-plan.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256 },
  params: {
    numSources: 'u32',
    numExperts: 'u32',
    firstExpert: 'u32',
    localExperts: 'u32',
    numOwners: 'u32',
    numLists: 'u32',
    rowStride: 'u32',
    tileRows: 'u32',
    tileCapacity: 'u32',
    columnGroups: 'u32',
    downColumnGroups: 'u32',
    firstMember: 'u32',
    startsStride: 'u32',
    placeStride: 'u32',
    tilesStride: 'u32',
    gridStride: 'u32',
  },
  buffers: { members: 'read', start_SE: 'read', receiveStart_ES: 'write', tiles: 'write', grid: 'write' },
  grid: (_s, p) => [p.numLists, 1, 1],
});

/** A CPU adapter wants one subgroup per workgroup, for cheap barriers and short runs of choices to compare. */
export function planSpec(
  gpu: Gpu,
  numExperts: number,
): { readonly WG: number; readonly MAX_EXPERTS: number } {
  return { WG: gpu.rowLanes, MAX_EXPERTS: powerOfTwo(numExperts, 64) };
}

export interface RoutePlanTensors {
  /** u32 [T, K] */
  readonly ids: Bindable;
  /** u32 [E + 1]: first row of each expert, then the number of rows. */
  readonly start: Bindable;
  /** u32 [T, K]: row of each choice. */
  readonly slot: Bindable;
  /** u32 [T K]: token of each row. */
  readonly rowToken: Bindable;
  /** u32 [planScratchWords] */
  readonly scratch: Bindable;
}

export interface RoutePlan {
  record(commands: CommandList, numTokens: number, tensors: RoutePlanTensors): void;
}

/** `allowSmall: false` always takes three dispatches, for tests of that path. */
export async function prepareRoutePlan(
  gpu: Gpu,
  shape: { readonly numExperts: number; readonly topK: number; readonly allowSmall?: boolean },
): Promise<RoutePlan> {
  const { numExperts, topK, allowSmall = true } = shape;
  const spec = planSpec(gpu, numExperts);
  const [countKernel, scanKernel, scatterKernel, smallKernel] = await Promise.all([
    gpu.kernel(histogram, spec),
    gpu.kernel(scan, spec),
    gpu.kernel(scatter, spec),
    gpu.kernel(planSmall, spec),
  ]);
  return {
    record: (commands, numTokens, { ids, start, slot, rowToken, scratch }) => {
      const numChoices = numTokens * topK;
      if (numChoices === 0 || (allowSmall && numChoices <= ONE_DISPATCH_CHOICES)) {
        commands.dispatch(
          smallKernel,
          { numChoices, numExperts, topK },
          { ids_TK: ids, start_E: start, slot_TK: slot, rowToken_R: rowToken },
        );
        return;
      }
      const numBlocks = ceilDiv(numChoices, BLOCK);
      commands.dispatch(countKernel, { numChoices, numExperts }, { ids_TK: ids, blockCount_BE: scratch });
      commands.dispatch(scanKernel, { numBlocks, numExperts }, { blockStart_BE: scratch, start_E: start });
      commands.dispatch(
        scatterKernel,
        { numChoices, numExperts, topK },
        { ids_TK: ids, blockStart_BE: scratch, slot_TK: slot, rowToken_R: rowToken },
      );
    },
  };
}

export interface ReceivePlanTensors {
  /** u32 [S, E + 1]: the sources' starts. */
  readonly starts: Bindable;
  /** u32 [local E, S] */
  readonly receiveStart: Bindable;
  /** 4 u32 per tile */
  readonly tiles: Bindable;
  /** 8 u32, see `gridsOf`. */
  readonly grid: Bindable;
}

/** The ranks that plan in one dispatch. The tensors are then those of all ranks, a part per rank. */
export interface ReceiveGroup {
  readonly members: Bindable;
  /** Its place in `members`; each member owns the local experts after those of the one before. */
  readonly firstMember: number;
  /** How many lists of `numOwners` members each; a list lies in the parts of its members, which must be neighbours. */
  readonly numLists: number;
  /** Rows from one owner's part of the received rows to the next. */
  readonly rowStride: number;
  /** Words from one rank's part to the next. */
  readonly startsStride: number;
  readonly placeStride: number;
  readonly tilesStride: number;
  readonly gridStride: number;
}

const ALONE = {
  ...{ firstMember: 0, numLists: 1, rowStride: 0 },
  ...{ startsStride: 0, placeStride: 0, tilesStride: 0, gridStride: 0 },
};

export interface ReceivePlanShape {
  readonly numSources: number;
  /** Of the whole layer, and of one owner. */
  readonly numExperts: number;
  readonly localExperts: number;
  /** Ranks whose experts lie in one stack, so that one grouped GEMM with one list of tiles serves them; 1 by default. */
  readonly numOwners?: number;
}

export interface ReceivePlan {
  /** For one rank, or for all ranks of a group. */
  record(
    commands: CommandList,
    p: Tiling & { readonly firstExpert: number },
    tensors: ReceivePlanTensors,
    group?: ReceiveGroup,
  ): void;
}

export async function prepareReceivePlan(gpu: Gpu, shape: ReceivePlanShape): Promise<ReceivePlan> {
  const { numSources, numExperts, localExperts, numOwners = 1 } = shape;
  const kernel = await gpu.kernel(receivePlan, planSpec(gpu, numOwners * localExperts));
  return {
    record: (commands, p, t, group) => {
      const { members, ...place } = group ?? { members: t.starts, ...ALONE };
      commands.dispatch(
        kernel,
        { numSources, numExperts, localExperts, numOwners, ...p, ...place },
        {
          ...{ members, start_SE: t.starts, receiveStart_ES: t.receiveStart },
          ...{ tiles: t.tiles, grid: t.grid },
        },
      );
    },
  };
}
