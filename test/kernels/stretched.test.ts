/** Stretched grids have all workgroups that are needed, and more, for every shader that counts them. */
import { expect, test } from 'vitest';
import { product } from '../../src/core/math.ts';
import { testPlatform } from '../setup/gpu.ts';
import { stretchedGrid } from './stretched.ts';

const platform = testPlatform();

test.each(platform.shaderPaths().filter((path) => platform.shaderSource(path).includes('num_workgroups')))(
  '%s: a workgroup more, at least',
  (path) => {
    for (const x of [1, 2, 5]) {
      expect(product(stretchedGrid(platform.shaderSource(path), [x, 1, 1]))).toBeGreaterThan(x);
    }
  },
);

test('attention: as many queries again; others stay as they are', () => {
  expect(stretchedGrid(platform.shaderSource('attention/decode.wgsl'), [5, 4, 2])).toEqual([10, 4, 2]);
  expect(stretchedGrid(platform.shaderSource('gemm/tiled.wgsl'), [5, 4, 1])).toEqual([5, 4, 1]);
  expect(stretchedGrid(platform.shaderSource('norm/rms-norm.wgsl'), [32768, 2, 1])).toEqual([32768, 2, 1]);
  expect(stretchedGrid(platform.shaderSource('norm/rms-norm.wgsl'), [0, 0, 1])).toEqual([0, 0, 1]);
});
