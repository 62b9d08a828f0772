/** Weights on the device: where values and scales lie, byte by byte. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { viewOf } from '../../src/gpu/buffer.ts';
import { uploadWeight, viewsOf, weightBytes } from '../../src/kernels/weights.ts';
import { quantise } from '../../src/tensor/quantise.ts';
import { QUANT_FORMATS, scalesInF32 } from '../../src/tensor/quantised.ts';
import { maker } from '../../src/validate/maker.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

test.each(QUANT_FORMATS)(
  '%s: the values, then their scales from a multiple of 256 bytes on',
  async (format) => {
    for (const shape of [
      [1, 32],
      [7, 96],
      [3, 5, 64],
    ]) {
      const matrix = quantise(maker(format).weight(shape), format);
      const { buffer, view, dtype } = uploadWeight(gpu, 'weights/w', matrix);
      expect(dtype).toBe(format);
      expect(viewOf(view.scales).byteOffset % 256).toBe(0);
      expect(weightBytes(format, shape)).toBe(viewOf(view.scales).byteOffset + 4 * matrix.scales.length);
      expect(buffer.byteLength - weightBytes(format, shape)).toBeLessThan(16);
      const data = await gpu.read(
        view.data,
        [matrix.data.length],
        matrix.data instanceof Int8Array ? 'i8' : 'u8',
      );
      const scales = await gpu.read(view.scales, [matrix.scales.length]);
      expect(data.data).toEqual(matrix.data);
      expect(scales.data).toEqual(scalesInF32(matrix));
      buffer.destroy();
    }
    expect(gpu.ledger.bytes).toBe(0);
  },
);

test('bytes without scales do not fill a word: int8 rows of 3 values', async () => {
  const matrix = quantise(maker('odd').weight([3, 3]), 'int8');
  const { buffer, view } = uploadWeight(gpu, 'weights/odd', matrix);
  expect((await gpu.read(view.data, [9], 'i8')).data).toEqual(matrix.data);
  expect((await gpu.read(view.scales, [3])).data).toEqual(matrix.scales);
  buffer.destroy();
});

test('floats are one view', () => {
  const { buffer, view, dtype } = uploadWeight(gpu, 'weights/w', maker('w').half(maker('w').weight([3, 5])));
  expect(dtype).toBe('f16');
  expect(view).toEqual({ data: buffer, scales: buffer });
  expect(viewsOf(buffer, 'f32', 1, 4).scales).toBe(buffer);
  expect(weightBytes('f16', [3, 5])).toBe(30);
  buffer.destroy();
});
