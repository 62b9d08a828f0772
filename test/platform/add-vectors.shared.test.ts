/** The shortest complete use of an adapter: c = a + b on the GPU, with the time the GPU says it took. */
import { expect, test } from 'vitest';
import { openTestAdapter } from '../setup/gpu.ts';

const LENGTH = 1000;
const WORKGROUP = 64;
const SHADER = `
@group(0) @binding(0) var<storage, read> a : array<f32>;
@group(0) @binding(1) var<storage, read> b : array<f32>;
@group(0) @binding(2) var<storage, read_write> c : array<f32>;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id : vec3u) {
  if (id.x < arrayLength(&c)) { c[id.x] = a[id.x] + b[id.x]; }
}`;

function upload(device: GPUDevice, values: Float32Array<ArrayBuffer>): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: values.byteLength, usage });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
}

test('a device adds two vectors and its clock says how long that took', async () => {
  const opened = await openTestAdapter();
  const device = await (await opened.adapter()).requestDevice({ requiredFeatures: ['timestamp-query'] });
  const a = Float32Array.from({ length: LENGTH }, (_, i) => i);
  const b = Float32Array.from({ length: LENGTH }, (_, i) => 0.5 * i);
  const c = device.createBuffer({
    size: a.byteLength,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const buffers = [upload(device, a), upload(device, b), c];

  const module = device.createShaderModule({ code: SHADER });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
  const times = device.createBuffer({
    size: 16,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const read = device.createBuffer({
    size: a.byteLength + times.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });

  const encoder = device.createCommandEncoder();
  const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
  const pass = encoder.beginComputePass({ timestampWrites });
  pass.setPipeline(pipeline);
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(LENGTH / WORKGROUP));
  pass.end();
  encoder.resolveQuerySet(querySet, 0, 2, times, 0);
  encoder.copyBufferToBuffer(c, 0, read, 0, c.size);
  encoder.copyBufferToBuffer(times, 0, read, c.size, times.size);
  device.queue.submit([encoder.finish()]);

  await read.mapAsync(GPUMapMode.READ);
  const sums = new Float32Array(read.getMappedRange(0, c.size).slice(0));
  const [start = 0n, end = 0n] = new BigUint64Array(read.getMappedRange(c.size, times.size).slice(0));
  expect([...sums]).toEqual([...a].map((value) => 1.5 * value));
  expect(end).toBeGreaterThan(start);
  device.destroy();
});
