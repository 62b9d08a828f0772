/** Lanes of subgroups: probed when a device opens, and what rests on their order is refused in words without it. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { LANE_PROBE, strayLanes } from '../../src/gpu/shader/lanes.ts';
import { matmul } from '../../src/ops/dense/matmul.ts';
import { attention } from '../../src/ops/attention/attention.ts';
import { inputsOf } from '../../src/ops/ops.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => gpu.destroy());

const filled = (...shape: number[]) =>
  f32Tensor(shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5));
const product = () => inputsOf(matmul, { a: filled(1, 64), b: filled(64, 64) });
const decode = () => {
  const past = filled(1, 8, 2, 64);
  return inputsOf(attention, { q: filled(1, 1, 2, 64), k: past, v: past });
};

test('they are in order here, and a probe of another order finds its strays', async () => {
  expect(gpu.lanesInOrder).toBe(true);
  if (!gpu.has('subgroups')) return;
  const swapped = LANE_PROBE.replace('place % lanes', '(place ^ 1u) % lanes');
  expect([await strayLanes(gpu.device, gpu.state), await strayLanes(gpu.device, gpu.state, swapped)]).toEqual(
    [0, 256],
  );
});

describe('where they are not', () => {
  test.each([
    ['matmul', matmul, product, ['vector', 'subgroup']],
    ['attention', attention, decode, ['decode-heads', 'decode-subgroup', 'split-heads']],
  ] as const)(
    '%s runs by a kernel that does not ask, and says why of those that do',
    async (_, op, of, names) => {
      const could = op.able(gpu, of());
      const spy = vi.spyOn(gpu, 'lanesInOrder', 'get').mockReturnValue(false);
      try {
        const able = op.able(gpu, of());
        expect(able.length).toBeGreaterThan(0);
        expect(able).not.toEqual(expect.arrayContaining([expect.stringMatching(names.join('|')) as string]));
        for (const name of names.filter((name) => could.includes(name))) {
          await expect(op.prepare(gpu, of(), name)).rejects.toThrow(/not consecutive invocations/);
        }
        const prepared = await op.prepare(gpu, of());
        expect(able).toContain(prepared.variant);
        prepared.destroy();
      } finally {
        spy.mockRestore();
      }
    },
  );
});
