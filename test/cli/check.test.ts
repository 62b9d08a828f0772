/** `op --check`: a result that is not its reference is an error and no file. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { op } from '../../src/cli/verbs/op.ts';
import { writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import type * as Ops from '../../src/ops/ops.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { scratchFolder } from './spawn.ts';

/** The real ops, with references that are off by one in their last element: as if the kernel were. */
vi.mock('../../src/ops/ops.ts', async (original) => {
  const real = await original<typeof Ops>();
  const opByName: typeof Ops.opByName = (name) => {
    const found = real.opByName(name);
    return {
      ...found,
      reference: (inputs) =>
        new Map(
          [...found.reference(inputs)].map(([output, expected]) => [
            output,
            { ...expected, values: expected.values.map((v, i, all) => (i === all.length - 1 ? v + 1 : v)) },
          ]),
        ),
    };
  };
  return { ...real, opByName };
});

test('what differs is told, and neither written nor in place of what was there', async () => {
  const folder = await scratchFolder();
  const paths = { in: join(folder, 'in'), out: join(folder, 'out') };
  await writeFile(paths.in, writeSafetensors({ a: f32Tensor([1, 2], [1, 2]), b: f32Tensor([1, 2], [3, 4]) }));
  const checked = { ...paths, name: 'matmul', check: true };
  await expect(op(checked)).rejects.toMatchObject({
    name: 'CheckError',
    message: expect.stringMatching(/Nothing was written/) as string,
  });
  expect(await readdir(folder)).toEqual(['in']);
  await writeFile(paths.out, 'old');
  await expect(op(checked)).rejects.toMatchObject({ name: 'CheckError' });
  expect(await readFile(paths.out, 'utf8')).toBe('old');
  // Without a check nobody looks.
  await op({ ...checked, check: false });
  expect((await readFile(paths.out)).length).toBeGreaterThan(3);
});
