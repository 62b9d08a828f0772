/** MXFP4 by way of f16: probed where kernels are a GPU's, and exact to the bit in each of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { lostHalves, HALF_PROBE } from '../../src/gpu/shader/small-halves.ts';
import { prepareGemm } from '../../src/kernels/dense/gemm.ts';
import { uploadWeight } from '../../src/kernels/weights.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu({ ...testPlatform(), kernelKind: 'gpu' })));
afterAll(() => gpu.destroy());

test('all pairs of values come out here, and a probe of an adapter that drops 0.5 finds those that do not', async () => {
  expect(await lostHalves(gpu.device, gpu.state)).toBe(0);
  expect(gpu.readsBySmallHalves).toBe(true);
  const flushing = HALF_PROBE.replace(
    'let bits',
    'let bits = bitcast<vec2<u32>>(select(pair, vec2<f32>(), abs(pair) < vec2<f32>(1.0)));\n  let all',
  );
  // 0.5 and -0.5, and -0, beside any of 16: a pair is lost where either is.
  expect(await lostHalves(gpu.device, gpu.state, flushing)).toBe(256 - 13 * 13);
});

/** Magnitudes of e2m1. */
const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

test.each(['row', 'blocked-small', 'tiled'])(
  '%s gives every value times its scale, to the bit',
  async (variant) => {
    const [n, k] = [16, 32];
    const nibble = (row: number, at: number): number => (row + at) % 16;
    const data = Uint8Array.from({ length: (n * k) / 2 }, (_, i) => {
      const [row, at] = [Math.floor((2 * i) / k), (2 * i) % k];
      return nibble(row, at) | (nibble(row, at + 1) << 4);
    });
    const exponents = range(n).map((row) => 7 * row - 60);
    const scales = Uint8Array.from(exponents, (e) => 127 + e);
    const b = uploadWeight(gpu, 'b', { format: 'mxfp4', shape: [n, k], data, scales });
    const a = gpu.upload(
      'a',
      Float32Array.from({ length: k * k }, (_, i) => Number(i % (k + 1) === 0)),
    );
    const c = gpu.elements('c', k * n);
    try {
      const shape = { numRows: k, numCols: n, depth: k, weightDtype: 'mxfp4' as const };
      const gemm = await prepareGemm(gpu, shape, variant);
      const commands = gpu.commands('values');
      gemm.record(commands, k, { a, b, c });
      commands.submit();
      const { data: got } = await gpu.read(c, [k, n]);
      const wanted = range(k * n).map((i) => {
        const [at, row] = [Math.floor(i / n), i % n];
        const code = nibble(row, at);
        return (code < 8 ? 1 : -1) * (E2M1[code % 8] ?? NaN) * 2 ** (exponents[row] ?? NaN);
      });
      expect([...got].map((v) => v + 0)).toEqual(wanted.map((v) => v + 0));
    } finally {
      for (const buffer of [a, b, c]) buffer.destroy();
    }
  },
);
