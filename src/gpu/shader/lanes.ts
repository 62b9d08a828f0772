/** Which invocation is which lane of its subgroup: WGSL leaves it open, and kernels that share rows by lane assume it. */
import type { DeviceState } from '../device-state.ts';
import { counted } from './counted.ts';

/** Counts the invocations whose lane is not their place in the workgroup. */
export const LANE_PROBE = `enable subgroups;
@group(0) @binding(0) var<storage, read_write> strays : atomic<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(local_invocation_index) place : u32,
  @builtin(subgroup_invocation_id) lane : u32,
  @builtin(subgroup_size) lanes : u32,
) {
  if (lane != place % lanes) { atomicAdd(&strays, 1u); }
}`;

/** Found before, by what an adapter says of itself: devices of one adapter do not differ. */
const known = new Map<string, boolean>();

/** What the probe would find, of a device that compiles and runs nothing. @param told as `lanesFollowInvocations` is told. */
export function assumeLanes(told: string, inOrder: boolean): void {
  known.set(told, inOrder);
}

/**
 * Whether the lanes of each subgroup are consecutive invocations of a workgroup, in order; true without subgroups.
 * @param told the adapter's name and driver, under which the answer is kept.
 * @throws DeviceError when the device is lost meanwhile.
 */
export async function lanesFollowInvocations(
  device: GPUDevice,
  state: DeviceState,
  told: string,
): Promise<boolean> {
  if (!device.features.has('subgroups')) return true;
  const before = known.get(told);
  if (before !== undefined) return before;
  const found = (await strayLanes(device, state)) === 0;
  known.set(told, found);
  return found;
}

/** @param code another probe than ours: for tests. */
export function strayLanes(device: GPUDevice, state: DeviceState, code = LANE_PROBE): Promise<number> {
  return counted(device, state, 'lanes', code);
}
