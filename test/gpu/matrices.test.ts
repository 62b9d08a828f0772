/** Matrix units: what an adapter lists is read, shown, and asked of its device. */
import { expect, test } from 'vitest';
import { openGpu } from '../../src/gpu/gpu.ts';
import { MATRIX_FEATURE, matrixUnitsOf, matrixUnitText } from '../../src/gpu/shader/matrices.ts';
import { reflectShader } from '../../src/gpu/shader/reflect.ts';
import { testPlatform } from '../setup/gpu.ts';

const listing = (features: readonly string[], subgroupMatrixConfigs?: readonly object[]) =>
  ({ features: new Set(features), info: { subgroupMatrixConfigs } }) as unknown as GPUAdapter;
const config = { componentType: 'f16', resultComponentType: 'f32', M: 8, N: 16, K: 32 };

test('an adapter tells its matrix units with the feature only', () => {
  const units = matrixUnitsOf(listing([MATRIX_FEATURE], [config]));
  expect(units).toEqual([{ component: 'f16', result: 'f32', m: 8, n: 16, k: 32 }]);
  expect(units.map(matrixUnitText)).toEqual(['f16 x f16 -> f32 8x16x32']);
  expect(matrixUnitsOf(listing([], [config]))).toEqual([]);
  expect(matrixUnitsOf(listing([MATRIX_FEATURE]))).toEqual([]);
});

test('a device has the feature where its adapter lists matrix units, and nowhere else', async () => {
  const gpu = await openGpu(testPlatform());
  expect(gpu.has(MATRIX_FEATURE)).toBe(gpu.matrixUnits.length > 0);
  gpu.destroy();
});

test('the interface of a shader with matrices is read', () => {
  const source = `enable chromium_experimental_subgroup_matrix;
const DIM : u32 = 8u;
alias Left = subgroup_matrix_left<f16, DIM, DIM>;
@group(0) @binding(0) var<storage, read> a : array<vec4<u32>>;
@compute @workgroup_size(8)
fn main() {
  let left = subgroupMatrixLoad<Left, row_major>(&a, 0u, 1u);
  var sums : array<subgroup_matrix_result<f32, 8, DIM>, 4>;
}`;
  expect(reflectShader(source, 'x').storage).toMatchObject([{ name: 'a', binding: 0, readOnly: true }]);
});
