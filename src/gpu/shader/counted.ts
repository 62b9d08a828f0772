/** Questions that an adapter answers by computing: a kernel that counts what is not as assumed. */
import { BUFFER_USAGE, MAP_MODE } from '../flags.ts';
import type { DeviceState } from '../device-state.ts';

/**
 * Runs a kernel of 4 workgroups whose only binding is a counter, and reads it.
 * @param what is asked: 'lanes'. @throws DeviceError when the device is lost meanwhile.
 */
export async function counted(
  device: GPUDevice,
  state: DeviceState,
  what: string,
  code: string,
): Promise<number> {
  const label = `probes/${what}`;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = BUFFER_USAGE;
  const module = device.createShaderModule({ label, code });
  const made = device.createComputePipelineAsync({ label, layout: 'auto', compute: { module } });
  const pipeline = await state.wait(`Compiling the probe of ${what}`, made);
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
    await state.wait(`Reading the probe of ${what}`, staging.mapAsync(MAP_MODE.READ));
    return new Uint32Array(staging.getMappedRange())[0] ?? NaN;
  } finally {
    counter.destroy();
    staging.destroy();
  }
}
