/** Whether an adapter keeps the least numbers of f16, which WGSL lets it flush: MXFP4 can be read by way of them then. */
import type { DeviceState } from '../device-state.ts';
import { counted } from './counted.ts';

/** Counts pairs of e2m1, in the places that f16 has for their bits, that do not come out as they are. */
export const HALF_PROBE = `@group(0) @binding(0) var<storage, read_write> lost : atomic<u32>;

fn exact(nibble : u32) -> u32 {
  let half = 0.5 * f32((0xc8643210u >> ((nibble & 7u) * 4u)) & 15u);
  return bitcast<u32>(half) | ((nibble & 8u) << 28u);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) place : vec3<u32>) {
  let low = place.x & 15u;
  let high = place.x >> 4u;
  let word = low | (high << 16u);
  let pair = unpack2x16float(((word << 12u) & 0x80008000u) | ((word << 9u) & 0x0e000e00u)) * 0x1p14f;
  let bits = bitcast<vec2<u32>>(pair);
  if (bits.x != exact(low) || bits.y != exact(high)) { atomicAdd(&lost, 1u); }
}`;

/** Found before, by what an adapter says of itself. */
const known = new Map<string, boolean>();

/** What the probe would find, of a device that compiles and runs nothing. @param told as `keepsSmallHalves` is told. */
export function assumeSmallHalves(told: string, kept: boolean): void {
  known.set(told, kept);
}

/**
 * Whether `unpack2x16float` gives every value of e2m1, the least of which are no normal numbers of f16, to the bit.
 * @param told the adapter's name and driver, under which the answer is kept.
 * @throws DeviceError when the device is lost meanwhile.
 */
export async function keepsSmallHalves(
  device: GPUDevice,
  state: DeviceState,
  told: string,
): Promise<boolean> {
  const kept = known.get(told) ?? (await lostHalves(device, state)) === 0;
  known.set(told, kept);
  return kept;
}

/** @param code another probe than ours: for tests. */
export function lostHalves(device: GPUDevice, state: DeviceState, code = HALF_PROBE): Promise<number> {
  return counted(device, state, 'small halves', code);
}
