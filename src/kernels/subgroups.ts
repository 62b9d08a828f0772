/** What kernels that share rows within a subgroup, by broadcasts or shuffles, ask of an adapter. */
import type { Gpu } from '../gpu/gpu.ts';
import { chunkGroups, packType, type WeightDtype } from './weights.ts';

/** Rows that are broadcast at a time: one per lane, or two per lane on adapters with 4 lanes. */
const SHARED_ROWS = 8;

/** Why not every subgroup that this adapter may form has the lanes to share rows; undefined when it has. */
export function broadcastRefusal(gpu: Gpu): string | undefined {
  if (!gpu.has('subgroups')) return 'the adapter has no subgroups';
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  return subgroupMinSize >= SHARED_ROWS / 2
    ? undefined
    : `subgroups may have ${subgroupMinSize} lanes; 4 are needed`;
}

/** What is compiled into such a kernel for this adapter. */
export function broadcastSpec(gpu: Gpu): { readonly LANES: number; readonly WG: number } {
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  // A GPU wants whole wide subgroups, a CPU adapter small workgroups to spread over its cores.
  return { LANES: subgroupMinSize >= SHARED_ROWS ? 8 : 4, WG: gpu.kernelsFor === 'gpu' ? 64 : 16 };
}

/** The same for a tile of so many rows by four columns per lane. */
export function broadcastTileSpec(gpu: Gpu, dtype: WeightDtype, rows: number) {
  return {
    ...broadcastSpec(gpu),
    Pack: packType(dtype),
    ROWS: rows,
    STEP: rows === 8 && chunkGroups(dtype) === 8 ? 2 : 1,
  };
}
