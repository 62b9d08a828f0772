/** What compilers can keep in registers, until the tuner has measured. */
import type { Gpu } from '../gpu/gpu.ts';

/**
 * Whether 8 x 8 sums of a thread are more than the adapter's compiler holds: Intel's spills 166 registers of them at
 * SIMD16, where those of AMD, NVIDIA and Apple spill none (`bench/isa`).
 */
export function hasFewRegisters(gpu: Gpu): boolean {
  return gpu.device.adapterInfo.vendor === 'intel';
}

/** Apple's GPUs call themselves `mesa` where Mesa drives them, as llvmpipe does. */
const FEW_REGISTERS: readonly string[] = ['intel', 'apple', 'mesa'];

/**
 * Whether threads may hold what they fetch ahead, of products and of attention, and their queries: Intel's compiler and Apple's
 * spill then, where AMD's waves and NVIDIA's warps have registers to spare (`bench/isa`).
 */
export function hasManyRegisters(gpu: Gpu): boolean {
  return !FEW_REGISTERS.includes(gpu.device.adapterInfo.vendor);
}

/** vec4 that a lane of decode attention holds of queries, and of sums, by vendor: none of these spills with heads of 64. */
const HELD_VECS: Readonly<Record<string, number>> = { amd: 8, nvidia: 8, intel: 2 };

export function heldVecs(gpu: Gpu): number {
  return HELD_VECS[gpu.device.adapterInfo.vendor] ?? 4;
}
