/** What the device would drop without a word, or wrap, is refused before it is recorded: which kernel, what, the remedy. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import type { Grid } from '../../src/gpu/kernel.ts';
import { defineKernel } from '../../src/gpu/kernel.ts';
import { gpuWith } from './support.ts';

const count = defineKernel({
  shader: 'count.wgsl',
  spec: {},
  params: { whole: 'u32', signed: 'i32', real: 'f32' },
  buffers: { x: 'read', y: 'write' },
  grid: () => [1, 1, 1],
});
const COUNT = `
struct Params { whole : u32, signed : i32, real : f32 }
@group(0) @binding(0) var<storage, read> x : array<u32>;
@group(0) @binding(1) var<storage, read_write> y : array<atomic<u32>>;
@group(1) @binding(0) var<uniform> params : Params;
@compute @workgroup_size(1) fn main() {
  atomicAdd(&y[0], arrayLength(&x) / 4u);
  atomicStore(&y[1], params.whole + bitcast<u32>(params.signed) + u32(params.real));
}`;
const FINE = { whole: 0, signed: 0, real: 0 };

let gpu: Gpu;
beforeEach(async () => {
  gpu = await gpuWith({ 'count.wgsl': COUNT });
});
afterEach(() => gpu.destroy());

/** Tries one dispatch that must be refused, then one that is fine: only the latter may have run. */
async function refusal(
  change: {
    params?: Partial<typeof FINE>;
    grid?: Grid;
    x?: (buffer: ReturnType<Gpu['buffer']>) => object;
  },
  message: RegExp,
): Promise<void> {
  const kernel = await gpu.kernel(count);
  const [x, y] = [gpu.elements('x', 4), gpu.elements('y', 4)];
  const commands = gpu.commands('refused', 'dispatch');
  const tried = (): void => {
    const buffers = { x: (change.x?.(x) ?? x) as typeof x, y };
    commands.dispatch(kernel, { ...FINE, ...change.params }, buffers, change.grid);
  };
  expect(tried).toThrow(message);
  expect(tried).toThrow(ConfigError);
  expect(commands.dispatches).toBe(0);
  commands.dispatch(kernel, FINE, { x: x.isDestroyed ? gpu.elements('x', 4) : x, y });
  const submitted = commands.submit();
  expect((await gpu.read(y, [1], 'u32')).data[0]).toBe(1);
  const spans = await submitted.spans();
  if (gpu.has('timestamp-query')) expect(spans).toHaveLength(1);
}

describe('grids', () => {
  test.each([
    [[65_536, 1, 1]],
    [[1, 70_000, 1]],
    [[1, 1, 2 ** 32]],
    [[-1, 1, 1]],
    [[1.5, 1, 1]],
    [[NaN, 1, 1]],
    [[Infinity, 1, 1]],
  ] as const)('%j', async (grid) => {
    await refusal(
      { grid: grid },
      /^count\.wgsl: its grid of \[.*\] workgroups is outside of 1\.\.\d+ per dimension\. Use smaller sizes/,
    );
  });
});

describe('parameters', () => {
  test.each([
    ['whole', -1],
    ['whole', 2 ** 32],
    ['whole', 1e20],
    ['whole', 0.5],
    ['whole', NaN],
    ['whole', Infinity],
    ['signed', 2 ** 31],
    ['signed', -(2 ** 31) - 1],
    ['signed', -0.5],
  ] as const)('%s = %d', async (name, value) => {
    await refusal(
      { params: { [name]: value } },
      new RegExp(`^count\\.wgsl: parameter ${name} is \\S+, not an integer from .* Use smaller sizes`),
    );
  });

  test.each([NaN, Infinity, -Infinity, 1e39, -3.5e38])('real = %d', async (value) => {
    await refusal({ params: { real: value } }, /^count\.wgsl: parameter real is \S+, which is no finite f32/);
  });

  test('the ends of every range arrive', async () => {
    const kernel = await gpu.kernel(count);
    const [x, y] = [gpu.elements('x', 4), gpu.elements('y', 4)];
    const commands = gpu.commands('ends');
    commands.dispatch(kernel, { whole: 2 ** 32 - 1, signed: -(2 ** 31), real: 3.4028234e38 }, { x, y });
    commands.dispatch(kernel, { whole: 7, signed: -3, real: 2 }, { x, y });
    commands.submit();
    expect([...(await gpu.read(y, [2], 'u32')).data]).toEqual([2, 6]);
  });
});

describe('bindings', () => {
  test('a destroyed buffer', async () => {
    const destroyed = (x: ReturnType<Gpu['buffer']>): object => (x.destroy(), x);
    await refusal({ x: destroyed }, /^count\.wgsl: x: buffer x was destroyed/);
    expect(gpu.bindGroups.size).toBe(1);
  });

  test('longer than the adapter binds, though it fits the buffer', async () => {
    const most = gpu.limits.maxStorageBufferBindingSize;
    await refusal(
      { x: (buffer) => ({ buffer, byteOffset: 0, byteLength: most + 4 }) },
      /^count\.wgsl: x binds .*iB of x, but this adapter binds at most .*iB at once\. Use smaller/,
    );
  });

  test.each([
    [4, 8],
    [0, 6],
  ])('from byte %d, %d bytes', async (byteOffset, byteLength) => {
    await refusal({ x: (buffer) => ({ buffer, byteOffset, byteLength }) }, /begin at multiples of \d+ bytes/);
  });
});

test('the arguments of an indirect dispatch are three whole words', async () => {
  const kernel = await gpu.kernel(count);
  const [x, y, args] = [gpu.elements('x', 4), gpu.elements('y', 4), gpu.elements('args', 8)];
  const commands = gpu.commands('indirect');
  expect(() => commands.dispatchIndirect(kernel, FINE, { x, y }, args.view(24))).toThrow(
    /12 bytes do not fit the 8/,
  );
  expect(() => commands.dispatchIndirect(kernel, FINE, { x, y }, args.view(2, 16))).toThrow(
    /no multiple of 4/,
  );
  commands.submit();
});

test('writes, copies, clears and reads stay inside of what they are given', async () => {
  const [a, b] = [gpu.buffer('a', 16), gpu.buffer('b', 32)];
  expect(() => gpu.write(a, new Float32Array(5))).toThrow(
    /Writing a: 20 bytes do not fit the 16 of buffer a/,
  );
  expect(() => gpu.write(b.view(0, 16), new Float32Array(5))).toThrow(ConfigError);
  await expect(gpu.read(a, [5])).rejects.toThrow(/Reading \[5\] of f32 from a: 20 bytes do not fit/);
  await expect(gpu.read(a, [NaN])).rejects.toThrow(ConfigError);
  const commands = gpu.commands('copies');
  expect(() => commands.copy(a, b, 32)).toThrow(ConfigError);
  expect(() => commands.copy(b, a, 32)).toThrow(ConfigError);
  a.destroy();
  expect(() => commands.copy(a, b)).toThrow(/copies: copy: buffer a was destroyed/);
  expect(() => commands.clear(a)).toThrow(/copies: clear: buffer a was destroyed/);
  commands.submit();
  expect(() => gpu.write(a, new Float32Array(4))).toThrow(/was destroyed/);
  await expect(gpu.read(a, [4])).rejects.toThrow(/was destroyed/);
  for (const bytes of [-1, NaN]) expect(() => gpu.buffer('x', bytes)).toThrow(ConfigError);
  await gpu.sync();
});
