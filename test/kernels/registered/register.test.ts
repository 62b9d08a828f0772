/** A variant of the user's own joins its family: by its name only, and held to what the family gives it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import type { TuningQuestion } from '../../../src/gpu/tuning.ts';
import { defineVariant } from '../../../src/kernels/registered/own-variant.ts';
import { registerVariant } from '../../../src/kernels/registered/register.ts';
import { casesOf } from '../../../src/validate/cases.ts';
import { runCase } from '../../../src/validate/run-case.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openGpu(testPlatform());
});
afterEach(() => gpu.destroy());

/** Buffers and parameters in an order of its own, and fewer than the family has. */
const WGSL = `
const WG : u32 = 4u;
struct Params { depth : u32, numCols : u32, numRows : u32 }
@group(0) @binding(0) var<storage, read_write> c_MN : array<f32>;
@group(0) @binding(1) var<storage, read> b_NK : array<f32>;
@group(0) @binding(2) var<storage, read> a_MK : array<f32>;
@group(1) @binding(0) var<uniform> params : Params;
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id : vec3<u32>) {
  if (id.x >= params.numCols) { return; }
  var total = 0.0;
  for (var k = 0u; k < params.depth; k += 1u) {
    total += a_MK[id.y * params.depth + k] * b_NK[id.x * params.depth + k];
  }
  c_MN[id.y * params.numCols + id.x] = total;
}
`;

const mine = defineVariant({
  ...{ family: 'matmul', name: 'mine', idea: 'a thread per output', shader: 'mine.wgsl', text: WGSL },
  spec: { WG: 32 },
  grid: (spec, params) => [Math.ceil(params.numCols / spec.WG), params.numRows, 1],
  refusal: ({ weightDtype }) => (weightDtype === 'f32' ? undefined : `it reads f32, not ${weightDtype}`),
});

const primes = casesOf('matmul').find(({ name }) => name === 'primes');
const half = casesOf('matmul').find(({ name }) => name === 'f16 weights');
if (primes === undefined || half === undefined) throw new Error('the cases are gone');

describe('a registered variant', () => {
  test('computes by its name, on its device only, and is never the default', async () => {
    const before = primes.variants(gpu);
    const byDefault = await runCase(gpu, primes);
    await registerVariant(gpu, mine);
    expect(primes.variants(gpu)).toEqual([...before, 'mine']);
    expect(await runCase(gpu, primes, 'mine')).toMatchObject({ pass: true, variant: 'mine' });
    expect(await runCase(gpu, primes)).toMatchObject({ pass: true, variant: byDefault.variant });
    const other = await openGpu(testPlatform());
    expect(primes.variants(other)).toEqual(before);
    expect(await runCase(other, primes, 'mine')).toMatchObject({ pass: false });
    other.destroy();
  });

  test('is not run where it refuses, and says why', async () => {
    await registerVariant(gpu, mine);
    expect(half.variants(gpu)).not.toContain('mine');
    const { message } = await runCase(gpu, half, 'mine');
    expect(message).toMatch(
      /matmul variant "mine" cannot run here: it reads f32, not f16\. Able: .*plain\b(?!.*mine)/,
    );
  });

  test('is the last of those that tuning is asked about, with its text', async () => {
    await registerVariant(gpu, mine);
    const asked: TuningQuestion[] = [];
    gpu.tuning = { choose: (question) => (asked.push(question), 'mine') };
    expect(await runCase(gpu, primes)).toMatchObject({ pass: true, variant: 'mine' });
    expect(asked[0]?.able.at(-1)).toEqual({ name: 'mine', shader: 'mine.wgsl', text: WGSL });
    expect(asked[0]?.able[0]?.name).not.toBe('mine');
    await runCase(gpu, half);
    expect(asked.at(-1)?.refused).toContainEqual({ name: 'mine', reason: 'it reads f32, not f16' });
  });

  test('keeps its own text though another goes by the same file', async () => {
    await registerVariant(gpu, mine);
    await registerVariant(gpu, { ...mine, name: 'twice', text: WGSL.replace('= total', '= 2.0 * total') });
    expect(await runCase(gpu, primes, 'mine')).toMatchObject({ pass: true });
    expect(await runCase(gpu, primes, 'twice')).toMatchObject({ pass: false });
  });

  test('that does not compile says the line of its file', async () => {
    const text = WGSL.replace('var total = 0.0;', 'var total = params.absent;');
    await registerVariant(gpu, { ...mine, text });
    const { pass, message } = await runCase(gpu, primes, 'mine');
    expect(pass).toBe(false);
    expect(message).toMatch(/mine\.wgsl:11:\d+: .*absent/);
  });

  test('whose grammar is wrong says the line of its file as well', async () => {
    await registerVariant(gpu, { ...mine, text: WGSL.replace('var total = 0.0;', 'var total = ;') });
    expect((await runCase(gpu, primes, 'mine')).message).toMatch(/mine\.wgsl:11:\d+: /);
  });

  test('whose functions fail is a mistake of its author', async () => {
    const broken = { ...mine, grid: () => [1, 2] as never };
    await registerVariant(gpu, broken);
    expect((await runCase(gpu, primes, 'mine')).message).toMatch(
      /its grid gave \[1, 2\]; give three numbers/,
    );
    await registerVariant(gpu, {
      ...{ ...mine, name: 'other' },
      refusal: () => {
        throw new Error('oh');
      },
    });
    expect(() => primes.variants(gpu)).toThrow('matmul variant "other": its refusal threw: oh');
  });
});

const bound = (line: string) => WGSL.replace('@group(1)', `${line}\n@group(1)`);

test.each<[string, object, RegExp]>([
  ['a name of the family', { name: 'tiled' }, /the family has one of this name already\. Give it another/],
  ['no name', { name: 'My Kernel' }, /has the name "My Kernel"; names are of lower-case letters/],
  [
    'a family that there is not',
    { family: 'matmull' },
    /family is "matmull" \(did you mean "matmul"\?\); it must be one of matmul, /,
  ],
  ['no family', { family: undefined }, /family is undefined; it must be one of/],
  ['a misspelt field', { refusl: () => undefined }, /has a field "refusl" \(did you mean "refusal"\?\)/],
  ['no grid', { grid: undefined }, /its grid is undefined; give a function/],
  ['no idea', { idea: ' ' }, /its idea is " "; say it in a line/],
  ['no shader', { shader: undefined }, /its shader is undefined; give the path of a WGSL file/],
  ['a spec that is none', { spec: { WG: null } }, /its spec is \{"WG": null\}; give an object of numbers/],
  [
    'a spec that the file lacks',
    { spec: { WGG: 8 } },
    /mine\.wgsl declares no "WGG" \(did you mean "WG"\?\) at module scope/,
  ],
  [
    'a file that is not there',
    { text: undefined, shader: '/nowhere/mine.wgsl' },
    /matmul variant "mine": cannot read \/nowhere\/mine\.wgsl: there is no such file/,
  ],
  [
    'a buffer that the family lacks',
    { text: bound('@group(0) @binding(3) var<storage, read> biases_N : array<f32>;') },
    /binds a buffer "biases_N".*, which the family does not have\. It has: a_MK \(read\), b_NK \(read\), c_MN \(write\)/,
  ],
  [
    'an output that it cannot write',
    { text: WGSL.replace('read_write', 'read') },
    /binds "c_MN" with another access than the family; declare it var<storage, read_write>/,
  ],
  [
    'no output',
    { text: '@compute @workgroup_size(1) fn main() {}', spec: {} },
    /binds nothing that it could write; declare c_MN\./,
  ],
  [
    'a parameter that the family lacks',
    { text: WGSL.replace('depth : u32', 'depths : u32') },
    /has a parameter "depths" \(did you mean "depth"\?\)/,
  ],
  [
    'a parameter of another type',
    { text: WGSL.replace('depth : u32', 'depth : f32') },
    /has the parameter "depth" as f32; the family gives it as u32/,
  ],
])('refuses %s', async (_what, change, message) => {
  await expect(registerVariant(gpu, { ...mine, ...change })).rejects.toMatchObject({
    name: 'ConfigError',
    message: expect.stringMatching(message) as string,
  });
});

test('refuses what is no variant at all, and a second one of the same name', async () => {
  await expect(registerVariant(gpu, null as never)).rejects.toThrow(
    /a variant is an object .*; this one is null/,
  );
  await registerVariant(gpu, mine);
  await expect(registerVariant(gpu, mine)).rejects.toThrow(/"mine" is registered on this device already/);
});
