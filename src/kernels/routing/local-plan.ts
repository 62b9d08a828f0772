/**
 * The plan of a rank that owns all experts, where there is nobody to send to or to receive from: places of all choices
 * and the tile list of the grouped GEMM in one dispatch, or in three for many choices.
 */
import { ceilDiv } from '../../core/math.ts';
import { PLAN_BLOCK } from '../../core/plan-sizes.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { ONE_DISPATCH_CHOICES, histogram, planSpec, scatter, type RoutePlanTensors } from './route-plan.ts';
import type { Tiling } from './tiling.ts';

const tiling = {
  tileRows: 'u32',
  tileCapacity: 'u32',
  columnGroups: 'u32',
  downColumnGroups: 'u32',
} as const;

export const planLocal = defineKernel({
  shader: 'routing/plan-local.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256 },
  params: { numChoices: 'u32', numExperts: 'u32', topK: 'u32', ...tiling },
  buffers: {
    ...{ ids_TK: 'read', start_E: 'write', slot_TK: 'write', rowToken_R: 'write' },
    ...{ tiles: 'write', grid: 'write' },
  },
  grid: () => [1, 1, 1],
});

const scanTiles = defineKernel({
  shader: 'routing/scan-tiles.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256 },
  params: { numBlocks: 'u32', numExperts: 'u32', ...tiling },
  buffers: { blockStart_BE: 'readwrite', start_E: 'write', tiles: 'write', grid: 'write' },
  grid: () => [1, 1, 1],
});

/** As for the plan of one source, and what the receive plan would write. */
export interface LocalPlanTensors extends RoutePlanTensors {
  /** 4 u32 per tile: expert, first row, end row, 0 */
  readonly tiles: Bindable;
  /** 8 u32, see `gridsOf`. */
  readonly grid: Bindable;
}

export interface LocalPlan {
  record(commands: CommandList, numTokens: number, tiling: Tiling, tensors: LocalPlanTensors): void;
}

/** `allowSmall: false` always takes three dispatches, for tests of that path. */
export async function prepareLocalPlan(
  gpu: Gpu,
  shape: { readonly numExperts: number; readonly topK: number; readonly allowSmall?: boolean },
): Promise<LocalPlan> {
  const { numExperts, topK, allowSmall = true } = shape;
  const spec = planSpec(gpu, numExperts);
  const [countKernel, scanKernel, scatterKernel, smallKernel] = await Promise.all([
    gpu.kernel(histogram, spec),
    gpu.kernel(scanTiles, spec),
    gpu.kernel(scatter, spec),
    gpu.kernel(planLocal, spec),
  ]);
  return {
    record: (commands, numTokens, { tileRows, tileCapacity, columnGroups, downColumnGroups }, t) => {
      const numChoices = numTokens * topK;
      const cut = { tileRows, tileCapacity, columnGroups, downColumnGroups };
      const places = { ids_TK: t.ids, slot_TK: t.slot, rowToken_R: t.rowToken };
      const tiles = { start_E: t.start, tiles: t.tiles, grid: t.grid };
      if (numChoices === 0 || (allowSmall && numChoices <= ONE_DISPATCH_CHOICES)) {
        commands.dispatch(smallKernel, { numChoices, numExperts, topK, ...cut }, { ...places, ...tiles });
        return;
      }
      const numBlocks = ceilDiv(numChoices, PLAN_BLOCK);
      commands.dispatch(countKernel, { numChoices, numExperts }, { ids_TK: t.ids, blockCount_BE: t.scratch });
      commands.dispatch(
        scanKernel,
        { numBlocks, numExperts, ...cut },
        { blockStart_BE: t.scratch, ...tiles },
      );
      commands.dispatch(
        scatterKernel,
        { numChoices, numExperts, topK },
        { ...places, blockStart_BE: t.scratch },
      );
    },
  };
}
