/** What kernels that share rows within a subgroup, by broadcasts or shuffles, ask of an adapter. */
import type { Gpu } from '../gpu/gpu.ts';
import { chunkGroups, packType, wholePanels, type WeightDtype } from './weights.ts';

/** Rows that are broadcast at a time: one per lane, or two per lane on adapters with 4 lanes. */
const SHARED_ROWS = 8;

/**
 * Why not every subgroup that this adapter may form has so many lanes, consecutive invocations of its workgroup;
 * undefined when it has.
 */
export function lanesRefusal(gpu: Gpu, lanes: number): string | undefined {
  if (!gpu.has('subgroups')) return 'the adapter has no subgroups';
  if (!gpu.lanesInOrder) return 'lanes of its subgroups are not consecutive invocations of a workgroup';
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  return subgroupMinSize >= lanes
    ? undefined
    : `subgroups may have ${subgroupMinSize} lanes; ${lanes} are needed`;
}

/** Why rows cannot be shared by broadcasts on this adapter; undefined when they can. */
export const broadcastRefusal = (gpu: Gpu): string | undefined => lanesRefusal(gpu, SHARED_ROWS / 2);

/** What is compiled into such a kernel for this adapter. */
export function broadcastSpec(gpu: Gpu): { readonly LANES: number; readonly WG: number } {
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  // A GPU wants whole wide subgroups, a CPU adapter small workgroups to spread over its cores.
  return { LANES: subgroupMinSize >= SHARED_ROWS ? 8 : 4, WG: gpu.kernelsFor === 'gpu' ? 64 : 16 };
}

/** What `broadcastSpec` gives, for lanes along k that hold `loads` vec4<u32> of a row each. */
export function panelSpec(
  gpu: Gpu,
  { weightDtype, depth }: { readonly weightDtype: WeightDtype; readonly depth: number },
  loads: number,
) {
  const spec = broadcastSpec(gpu);
  return {
    ...spec,
    GROUPS: chunkGroups(weightDtype),
    LOADS: loads,
    WHOLE: wholePanels(weightDtype, depth, spec.LANES, loads),
  };
}

/**
 * Lanes that share eight outputs along k, and how their sums meet: in two steps on a GPU, where one lane would wait for the
 * sums of 64, one after the other.
 */
export function rowLanes(gpu: Gpu): { readonly WG: number; readonly TWO_STEPS: boolean } {
  return { WG: gpu.rowLanes, TWO_STEPS: gpu.kernelsFor === 'gpu' };
}

const BROADCAST_TILES = { 8: 'subgroup-8', 16: 'subgroup-16', 32: 'subgroup' } as const;

/**
 * The variant with so many rows to a tile, or with fewer: SwiftShader was 1.2 to 1.5 times faster with eight than with 16 or
 * 32, in all formats, dense and by experts.
 */
export function broadcastTile(gpu: Gpu, rows: keyof typeof BROADCAST_TILES): string {
  return BROADCAST_TILES[gpu.device.adapterInfo.vendor === 'google' ? 8 : rows];
}

/** What `broadcastSpec` gives, for a tile of so many rows by four columns per lane. */
export function broadcastTileSpec(gpu: Gpu, dtype: WeightDtype, rows: number) {
  const spec = broadcastSpec(gpu);
  return {
    ...spec,
    Pack: packType(dtype),
    ROWS: rows,
    // With four lanes a shorter loop is faster than a word of nibbles read once.
    STEP: rows === 8 && spec.LANES === SHARED_ROWS && chunkGroups(dtype) === 8 ? 2 : 1,
  };
}
