/** What kernels that broadcast rows within a subgroup ask of an adapter. */
import type { Gpu } from '../gpu/gpu.ts';

/** Rows that such a kernel shares: one per lane, or two per lane on adapters with 4 lanes. */
const SHARED_ROWS = 8;

/** Why this adapter cannot broadcast 8 rows within every subgroup it may form; undefined when it can. */
export function broadcastRefusal(gpu: Gpu): string | undefined {
  if (!gpu.has('subgroups')) return 'the adapter has no subgroups';
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  return subgroupMinSize >= SHARED_ROWS / 2
    ? undefined
    : `subgroups may have ${subgroupMinSize} lanes; 4 are needed`;
}

/** What is compiled into such a kernel for this adapter. */
export function broadcastSpec(gpu: Gpu): { readonly HELD: number; readonly WG: number } {
  return { HELD: rowsHeld(gpu), WG: broadcastLanes(gpu) };
}

/** Rows that a lane holds, so that the smallest subgroup holds all 8. */
function rowsHeld(gpu: Gpu): number {
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  return subgroupMinSize >= SHARED_ROWS ? 1 : 2;
}

/** Lanes of a workgroup: a GPU wants whole wide subgroups, a CPU adapter small workgroups to spread over its cores. */
function broadcastLanes(gpu: Gpu): number {
  return gpu.facts.kind === 'gpu' ? 64 : 16;
}
