/** Weights on the device: where values and scales lie, byte by byte. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { scaleStart, uploadWeight, weightBytes } from '../../src/kernels/weights.ts';
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
      const buffer = uploadWeight(gpu, 'weights/w', matrix);
      const scalesAt = 4 * scaleStart(format, shape);
      expect(scalesAt % 256).toBe(0);
      expect(weightBytes(format, shape)).toBe(scalesAt + 4 * matrix.scales.length);
      expect(buffer.byteLength - weightBytes(format, shape)).toBeLessThan(16);
      const data = await gpu.read(
        buffer,
        [matrix.data.length],
        matrix.data instanceof Int8Array ? 'i8' : 'u8',
      );
      const scales = await gpu.read(buffer.view(scalesAt), [matrix.scales.length]);
      expect(data.data).toEqual(matrix.data);
      expect(scales.data).toEqual(scalesInF32(matrix));
      buffer.destroy();
    }
    expect(gpu.ledger.bytes).toBe(0);
  },
);

test('bytes without scales do not fill a word: int8 rows of 3 values', async () => {
  const matrix = quantise(maker('odd').weight([3, 3]), 'int8');
  const buffer = uploadWeight(gpu, 'weights/odd', matrix);
  const scales = buffer.view(4 * scaleStart('int8', [3, 3]));
  expect((await gpu.read(buffer, [9], 'i8')).data).toEqual(matrix.data);
  expect((await gpu.read(scales, [3])).data).toEqual(matrix.scales);
  buffer.destroy();
});

test('floats have no scales', async () => {
  const half = maker('w').half(maker('w').weight([3, 5]));
  const buffer = uploadWeight(gpu, 'weights/w', half);
  expect(scaleStart('f16', [3, 5])).toBe(0);
  expect(weightBytes('f16', [3, 5])).toBe(30);
  expect((await gpu.read(buffer, [15], 'f16')).data).toEqual(half.data);
  buffer.destroy();
});
