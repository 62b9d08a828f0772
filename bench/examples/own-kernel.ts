/** A kernel of one's own, held against float64 on the cases of its family and asked for by its name. */
import { defineVariant, kernelCases, nodePlatform, openGpu, registerVariant, runCase } from 'moebius';

const text = `
@group(0) @binding(0) var<storage, read> a_MK : array<f32>;
@group(0) @binding(1) var<storage, read> b_NK : array<f32>;
@group(0) @binding(2) var<storage, read_write> c_MN : array<f32>;
struct Params { numRows : u32, numCols : u32, depth : u32 }
@group(1) @binding(0) var<uniform> params : Params;
@compute @workgroup_size(8, 8) fn main(@builtin(global_invocation_id) id : vec3<u32>) {
  if (id.x >= params.numCols || id.y >= params.numRows) { return; }
  var total = 0.0;
  for (var k = 0u; k < params.depth; k += 1u) { total += a_MK[id.y * params.depth + k] * b_NK[id.x * params.depth + k]; }
  c_MN[id.y * params.numCols + id.x] = total;
}`;
const naive = defineVariant({
  ...{ family: 'matmul', name: 'naive', idea: 'a thread per output', shader: 'naive.wgsl', text },
  grid: (_spec, { numRows, numCols }) => [Math.ceil(numCols / 8), Math.ceil(numRows / 8), 1],
  refusal: ({ weightDtype }) => (weightDtype === 'f32' ? undefined : `it reads f32, not ${weightDtype}`),
});

const gpu = await openGpu(nodePlatform());
await registerVariant(gpu, naive);
for (const one of kernelCases.filter((c) => c.family === 'matmul' && c.variants(gpu).includes('naive'))) {
  const { pass, message } = await runCase(gpu, one, 'naive', { strict: true });
  console.log(`${one.name}: ${message}`);
  if (!pass) process.exitCode = 1;
}
gpu.destroy();
