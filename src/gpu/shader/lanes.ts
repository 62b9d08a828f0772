/** Which invocation is which lane of its subgroup: WGSL leaves it open, and kernels that share rows by lane assume it. */
import { BUFFER_USAGE, MAP_MODE } from '../flags.ts';
import type { DeviceState } from '../device-state.ts';

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
export async function strayLanes(device: GPUDevice, state: DeviceState, code = LANE_PROBE): Promise<number> {
  const label = 'probes/lanes';
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = BUFFER_USAGE;
  const module = device.createShaderModule({ label, code });
  const made = device.createComputePipelineAsync({ label, layout: 'auto', compute: { module } });
  const pipeline = await state.wait('Compiling the probe of lanes', made);
  const counter = device.createBuffer({ label, size: 4, usage: STORAGE | COPY_SRC });
  const staging = device.createBuffer({ label, size: 4, usage: COPY_DST | MAP_READ });
  try {
    const encoder = device.createCommandEncoder({ label });
    const pass = encoder.beginComputePass({ label });
    const entries = [{ binding: 0, resource: { buffer: counter } }];
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(4);
    pass.end();
    encoder.copyBufferToBuffer(counter, 0, staging, 0, 4);
    device.queue.submit([encoder.finish()]);
    await state.wait('Reading the probe of lanes', staging.mapAsync(MAP_MODE.READ));
    return new Uint32Array(staging.getMappedRange())[0] ?? NaN;
  } finally {
    counter.destroy();
    staging.destroy();
  }
}
