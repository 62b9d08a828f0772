/** One op from file to file: the right numbers, whole files, and hostile input. */
import { link, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { op, type OpOptions } from '../../src/cli/verbs/op.ts';
import { withGpu } from '../../src/cli/session.ts';
import { seededRandom } from '../../src/core/random.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { parseAttrs } from '../../src/ops/attrs.ts';
import { opByName } from '../../src/ops/ops.ts';
import { quantisedTensors } from '../../src/ops/quantised-inputs.ts';
import { compare } from '../../src/tensor/compare.ts';
import { quantise } from '../../src/tensor/quantise.ts';
import { f32Tensor, toF64, type Tensor } from '../../src/tensor/tensor.ts';
import { someOf } from '../ops/one-per-shader.ts';
import { scratchFolder } from './spawn.ts';

const random = seededRandom(5);
const moeTensors = (): Record<string, Tensor> => ({
  x: f32Tensor([6, 8], random.normals(48)),
  logits: f32Tensor([6, 4], random.normals(24)),
  w1: f32Tensor([4, 12, 8], random.normals(384)),
  w3: f32Tensor([4, 12, 8], random.normals(384)),
  w2: f32Tensor([4, 8, 12], random.normals(384)),
});
const matmulTensors = (): Record<string, Tensor> => ({
  a: f32Tensor([3, 8], random.normals(24)),
  b: f32Tensor([5, 8], random.normals(40)),
});

const quantisedTensorsOf = (): Record<string, Tensor> => ({
  a: f32Tensor([3, 64], random.normals(192)),
  ...quantisedTensors('b', quantise(f32Tensor([5, 64], random.normals(320)), 'int4')),
});

async function inFolder(bytes: Uint8Array): Promise<{ folder: string; in: string; out: string }> {
  const folder = await scratchFolder();
  const paths = { folder, in: join(folder, 'in.safetensors'), out: join(folder, 'out.safetensors') };
  await writeFile(paths.in, bytes);
  return paths;
}

// The kernels' own tests ask every variant; of a short run a third shows that each is named, run and told.
test.each([
  ['moe', moeTensors, ['k=2'], 0],
  ['matmul', matmulTensors, [], 1],
  ['matmul', quantisedTensorsOf, [], 2],
] as const)('%s equals its float64 reference, in its variants', async (name, tensors, attrs, turn) => {
  const inputs = tensors();
  const { folder, ...paths } = await inFolder(writeSafetensors(inputs));
  const chosen = opByName(name);
  const given = { tensors: new Map(Object.entries(inputs)), attrs: parseAttrs(chosen, attrs) };
  const able = await withGpu({}, (gpu) => Promise.resolve(chosen.able(gpu, given)));
  for (const { name: variant } of chosen.variants) {
    if (able.includes(variant)) continue;
    await expect(op({ ...paths, name, attrs, variant })).rejects.toThrow(`"${variant}" cannot run here: `);
  }
  for (const variant of [undefined, ...someOf(able, turn)]) {
    const result = await op({
      ...paths,
      name,
      attrs,
      check: true,
      ...(variant !== undefined && { variant }),
    });
    expect(result.checks?.every(({ pass }) => pass)).toBe(true);
    const expected = chosen.reference(given, undefined, variant);
    const results = readSafetensors(new Uint8Array(await readFile(paths.out)), 'out');
    for (const [output, { values, shape, budget }] of expected) {
      const got = results.get(output);
      expect(got?.shape).toEqual(shape);
      expect(compare(toF64(got ?? f32Tensor([0], [])), values, shape, budget).pass).toBe(true);
    }
  }
  expect((await readdir(folder)).sort()).toEqual(['in.safetensors', 'out.safetensors']);
});

describe('refuses, and writes nothing', () => {
  const good = { name: 'matmul' };
  const whole = writeSafetensors(matmulTensors());
  const withHeader = (json: string): Uint8Array => {
    const header = new TextEncoder().encode(json);
    const file = new Uint8Array(8 + header.length + 16);
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
    file.set(header, 8);
    return file;
  };
  const huge = new Uint8Array(16);
  new DataView(huge.buffer).setBigUint64(0, 2n ** 60n, true);

  test.each<[string, Uint8Array, Partial<OpOptions>, RegExp]>([
    ['an unknown op', whole, { name: 'matmull' }, /no op "matmull" \(did you mean "matmul"\?\)/],
    ['an unknown attribute', whole, { attrs: ['k=2'] }, /matmul has no attribute "k"/],
    ['a word that is no attribute', whole, { attrs: ['k'] }, /"k" is not an attribute/],
    ['an unknown variant', whole, { variant: 'fast' }, /no variant "fast"\. It has: /],
    ['a missing adapter', whole, { adapter: 'nosuch' }, /no adapter opens/],
    [
      'a missing tensor',
      writeSafetensors({ a: f32Tensor([1, 1], [1]) }),
      {},
      /matmul needs the tensor b \[N, K\]/,
    ],
    [
      'a wrong shape',
      writeSafetensors({ ...matmulTensors(), b: f32Tensor([5, 7], random.normals(35)) }),
      {},
      /b is \[5, 7\]; expected \[N, K\] = \[5, 8\] from a/,
    ],
    ['a tensor too many', writeSafetensors({ ...matmulTensors(), z: f32Tensor([1], [1]) }), {}, /z/],
    ['a truncated file', whole.slice(0, whole.length - 3), {}, /in\.safetensors/],
    ['an empty file', new Uint8Array(0), {}, /in\.safetensors/],
    ['a header longer than the file', huge, {}, /in\.safetensors/],
    ['a header that is no JSON', withHeader('{"a": '), {}, /in\.safetensors/],
    [
      'offsets outside of the file',
      withHeader('{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
      {},
      /in\.safetensors/,
    ],
    [
      'a negative shape',
      withHeader('{"a":{"dtype":"F32","shape":[-1,-4],"data_offsets":[0,16]}}'),
      {},
      /in\.safetensors/,
    ],
  ])('%s', async (_what, bytes, change, message) => {
    const paths = await inFolder(bytes);
    const { folder, ...files } = paths;
    await expect(op({ ...good, ...files, ...change })).rejects.toThrow(message);
    await expect(op({ ...good, ...files, ...change })).rejects.toMatchObject({ name: 'ConfigError' });
    expect(await readdir(folder)).toEqual(['in.safetensors']);
  });

  test('its own input as output, by whatever name', async () => {
    const { folder, in: input } = await inFolder(whole);
    await link(input, join(folder, 'hard'));
    await symlink(input, join(folder, 'soft'));
    for (const out of [
      input,
      join(folder, 'hard'),
      join(folder, 'soft'),
      join(folder, '.', 'in.safetensors'),
    ]) {
      await expect(op({ ...good, in: input, out })).rejects.toThrow(
        /is the input; it must not be overwritten/,
      );
    }
    expect(new Uint8Array(await readFile(input))).toEqual(whole);
  });

  test('an input that is not there, and an output in no folder', async () => {
    const { folder, in: input, out } = await inFolder(whole);
    await expect(op({ ...good, in: join(folder, 'no'), out })).rejects.toThrow(
      /cannot read .*no: there is no such file/,
    );
    await expect(op({ ...good, in: input, out: join(folder, 'no', 'out') })).rejects.toThrow(
      /there is no folder/,
    );
  });
});
