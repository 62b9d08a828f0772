/** Compiling and recording: parameters arrive as their type, failures are reported and forgotten. */
import { afterEach, expect, test } from 'vitest';
import { ConfigError, InvariantError } from '../../src/core/errors.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { defineKernel } from '../../src/gpu/kernel.ts';
import { gpuWith } from './support.ts';

const echo = defineKernel({
  shader: 'echo.wgsl',
  spec: { WG: 1 },
  params: { whole: 'u32', signed: 'i32', real: 'f32' },
  buffers: { y: 'write' },
  grid: () => [1, 1, 1],
});
const ECHO = `
const WG : u32 = 1u;
struct Params { whole : u32, signed : i32, real : f32 }
@group(0) @binding(0) var<storage, read_write> y : array<u32>;
@group(1) @binding(0) var<uniform> params : Params;
@compute @workgroup_size(WG) fn main() {
  y[0] = params.whole;
  y[1] = bitcast<u32>(params.signed);
  y[2] = bitcast<u32>(params.real);
}`;

let gpu: Gpu;
afterEach(() => gpu.destroy());

test('parameters are packed by type', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  const kernel = await gpu.kernel(echo);
  const y = gpu.elements('y', 4);
  const commands = gpu.commands('echo');
  commands.dispatch(kernel, { whole: 4294967295, signed: -7, real: 0.1 }, { y });
  commands.submit();
  const { data } = await gpu.read(y, [3], 'u32');
  const view = new DataView(data.buffer);
  expect([view.getUint32(0, true), view.getInt32(4, true), view.getFloat32(8, true)]).toEqual([
    4294967295,
    -7,
    Math.fround(0.1),
  ]);
});

test('every dispatch of a long list has its own parameters', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  const kernel = await gpu.kernel(echo);
  const targets = Array.from({ length: 600 }, (_, i) => gpu.elements(`y ${i}`, 4));
  const commands = gpu.commands('many');
  targets.forEach((y, i) => commands.dispatch(kernel, { whole: i, signed: 0, real: 0 }, { y }));
  expect(commands.dispatches).toBe(600);
  commands.submit();
  for (const i of [0, 255, 256, 599]) {
    const y = targets[i];
    if (y !== undefined) expect((await gpu.read(y, [1], 'u32')).data[0]).toBe(i);
  }
});

test('a parameter that is missing or not whole is an error of ours', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  const kernel = await gpu.kernel(echo);
  const y = gpu.elements('y', 4);
  const commands = gpu.commands('wrong');
  expect(() => commands.dispatch(kernel, { whole: 0.5, signed: 0, real: 0 }, { y })).toThrow(
    /parameter whole is 0.5, not an integer/,
  );
  expect(() => commands.dispatch(kernel, { whole: 0, signed: 0 } as never, { y })).toThrow(
    /parameter real was not given/,
  );
  expect(() => commands.dispatch(kernel, { whole: 0, signed: 0, real: 0 }, {} as never)).toThrow(
    /echo\.wgsl: buffer y was not given/,
  );
});

test('compiled kernels are kept by shader and spec, whatever the order of names', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  const [a, b] = await Promise.all([gpu.kernel(echo), gpu.kernel(echo, { WG: 1 })]);
  expect(a.compiled).toBe(b.compiled);
  expect((await gpu.kernel(echo, { WG: 2 })).compiled).not.toBe(a.compiled);
  expect(gpu.pipelines.size).toBe(2);
});

test('a failure names the line and is forgotten', async () => {
  const sources = { 'echo.wgsl': ECHO.replace('y[0] = params.whole;', 'y[0] = params.absent;') };
  gpu = await gpuWith(sources);
  await expect(gpu.kernel(echo)).rejects.toThrow(
    /echo\.wgsl does not compile.*\n.*echo\.wgsl:7:.*\n.*params\.absent/,
  );
  await expect(gpu.kernel(echo)).rejects.toThrow(ConfigError);
  expect(gpu.pipelines.size).toBe(0);
  sources['echo.wgsl'] = ECHO;
  await expect(gpu.kernel(echo)).resolves.toMatchObject({ spec: { WG: 1 } });
  await expect(gpu.sync()).resolves.toBeUndefined();
});

test('a definition that differs from its shader is an error of ours', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  await expect(gpu.kernel({ ...echo, buffers: { z: 'write' } })).rejects.toThrow(
    /echo\.wgsl binds y:w but its definition says z:w/,
  );
  await expect(gpu.kernel({ ...echo, params: { whole: 'u32' } })).rejects.toThrow(InvariantError);
});

test('a workgroup that the adapter refuses', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  await expect(gpu.kernel(echo, { WG: 100000 })).rejects.toThrow(ConfigError);
});

test('a feature that the adapter does not offer', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  await expect(gpu.kernel({ ...echo, features: ['texture-compression-astc'] })).rejects.toThrow(
    /needs the feature texture-compression-astc.*Choose another variant/,
  );
});

test('a grid out of range is refused, an empty one records nothing', async () => {
  gpu = await gpuWith({ 'echo.wgsl': ECHO });
  const y = gpu.elements('y', 4);
  const params = { whole: 0, signed: 0, real: 0 };
  const commands = gpu.commands('grids');
  const limit = gpu.limits.maxComputeWorkgroupsPerDimension;
  const wide = await gpu.kernel({ ...echo, grid: () => [limit + 1, 1, 1] });
  expect(() => commands.dispatch(wide, params, { y })).toThrow(
    /echo\.wgsl: its grid of \[\d+, 1, 1\] workgroups is outside of 1\.\.\d+ per dimension\. Use smaller/,
  );
  commands.dispatch(await gpu.kernel({ ...echo, grid: () => [0, 1, 1] }), params, { y });
  expect(commands.dispatches).toBe(0);
  commands.submit();
  expect(() => commands.submit()).toThrow(/grids was submitted already/);
});
