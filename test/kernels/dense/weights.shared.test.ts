/** Weights on the device: where values and scales lie, byte by byte. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/core/errors.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { prepareDirectExperts } from '../../../src/kernels/experts/direct.ts';
import { type ExpertShape, prepareExpertGemm } from '../../../src/kernels/experts/experts.ts';
import { prepareGemm } from '../../../src/kernels/dense/gemm.ts';
import { scaleStart, uploadWeight } from '../../../src/kernels/weights.ts';
import { weightBytes } from '../../../src/tensor/weight-bytes.ts';
import { quantise } from '../../../src/tensor/quantise.ts';
import { QUANT_FORMATS, scalesInF32 } from '../../../src/tensor/quantised.ts';
import { maker } from '../../../src/validate/draw/maker.ts';
import { OpBuffers } from '../../../src/ops/op-buffers.ts';
import { WeightStore } from '../../../src/runtime/weight-store.ts';
import { presetNamed } from '../../../src/model/presets.ts';
import { syntheticWeights } from '../../../src/model/synthetic.ts';
import { testPlatform } from '../../setup/gpu.ts';

const SOURCE = syntheticWeights(presetNamed('tiny-moe').config, 1);

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

describe('2^32 values in a matrix or stack, which shaders cannot number', () => {
  // By sizes only: nothing is allocated, and nothing is read.
  const [numCols, depth] = [2 ** 20, 2 ** 10];
  const experts = (numExperts: number, weightDtype: 'int4' | 'mxfp4'): ExpertShape => ({
    ...{ numExperts, numCols, depth, weightDtype, rowsPerExpert: 1 },
    ...{ gated: false, biased: false, activation: 'identity' },
  });
  const wrong = /2\^32/;

  test.each(['int4', 'mxfp4'] as const)('%s: refused wherever they are bound', async (format) => {
    const shape = [4, numCols, depth];
    const matrix = { format, shape, data: new Uint8Array(0), scales: new Uint8Array(0) };
    const make = (): never => expect.unreachable('a shard of so many values was made');
    const refused: (() => unknown)[] = [
      () => prepareGemm(gpu, { numRows: 1, numCols: 4 * numCols, depth, weightDtype: format }),
      () => prepareExpertGemm(gpu, experts(4, format)),
      () =>
        prepareDirectExperts(gpu, {
          ...{ numExperts: 4, topK: 1, modelDim: depth, expertDim: numCols, gated: false, residual: false },
          ...{ activation: 'identity', upDtype: format, downDtype: format },
        }),
      () => uploadWeight(gpu, 'w', matrix),
      () => new OpBuffers(gpu).matrix('w', matrix),
      () =>
        new WeightStore(gpu, SOURCE).get({ key: 'w', dtype: format, shape, parts: [{ names: [], make }] }),
    ];
    for (const attempt of refused) {
      const tried = Promise.resolve().then(attempt);
      await expect(tried).rejects.toThrow(ConfigError);
      await expect(tried).rejects.toThrow(wrong);
    }
    expect(gpu.ledger.bytes).toBe(0);
  });

  test('one expert less is prepared', async () => {
    expect((await prepareExpertGemm(gpu, experts(3, 'int4'))).variant).not.toBe('');
  });
});
