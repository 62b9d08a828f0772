/** The smallest piece of work: what it costs is what every dispatch and every read-back costs at least. */
import type { Gpu } from '../gpu/gpu.ts';
import { summarise, type Summary } from './statistics.ts';

const EMPTY = '@compute @workgroup_size(1) fn main() {}';

export function emptyPipeline(device: GPUDevice): GPUComputePipeline {
  const module = device.createShaderModule({ label: 'empty', code: EMPTY });
  return device.createComputePipeline({ label: 'empty', layout: 'auto', compute: { module } });
}

/** Host time from submitting a 4-byte copy to having the bytes, ns. */
export async function readbackLatency(gpu: Gpu, samples = 25): Promise<Summary> {
  const source = gpu.buffer('probe/readback', 16);
  try {
    const times: number[] = [];
    await gpu.read(source, [1], 'u32');
    for (let i = 0; i < samples; i++) {
      const start = gpu.platform.now();
      await gpu.read(source, [1], 'u32');
      times.push(gpu.platform.now() - start);
    }
    return summarise(times);
  } finally {
    source.destroy();
  }
}

/** Host time of submitting an empty list and waiting for it, ns: what a host-timed window contains besides its work. */
export async function syncLatency(gpu: Gpu, samples = 15): Promise<Summary> {
  const times: number[] = [];
  for (let i = 0; i <= samples; i++) {
    const start = gpu.platform.now();
    gpu.device.queue.submit([gpu.device.createCommandEncoder().finish()]);
    await gpu.sync();
    times.push(gpu.platform.now() - start);
  }
  return summarise(times.slice(1));
}

/** Host time per empty dispatch within one pass, ns: the slope between few and many, so the submission drops out. */
export async function dispatchFloor(
  gpu: Gpu,
  kind: 'direct' | 'indirect' = 'direct',
  samples = 9,
): Promise<Summary> {
  const pipeline = emptyPipeline(gpu.device);
  const grid = gpu.upload('probe/grid', Uint32Array.of(1, 1, 1));
  const run = async (count: number): Promise<number> => {
    const start = gpu.platform.now();
    const encoder = gpu.device.createCommandEncoder({ label: 'dispatch floor' });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    for (let i = 0; i < count; i++) {
      if (kind === 'direct') pass.dispatchWorkgroups(1);
      else pass.dispatchWorkgroupsIndirect(grid.handle, 0);
    }
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.sync();
    return gpu.platform.now() - start;
  };
  const [few, many] = [16, 272];
  try {
    await run(many);
    const slopes: number[] = [];
    for (let i = 0; i < samples; i++) {
      const short = await run(few);
      slopes.push(Math.max(0, (await run(many)) - short) / (many - few));
    }
    return summarise(slopes);
  } finally {
    grid.destroy();
  }
}
