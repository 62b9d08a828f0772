/** Hardware and dtypes are found by any common spelling; figures stand beside a source. */
import { expect, test } from 'vitest';
import { dtypeNamed } from '../../src/hardware/dtypes.ts';
import { hardwareNamed } from '../../src/hardware/profiles/named.ts';
import { PROFILES } from '../../src/hardware/profiles/list.ts';
import { timeOf } from '../../src/hardware/time-of.ts';

test.each([
  ['h100', 'h100_sxm'],
  ['H100-SXM', 'h100_sxm'],
  ['NVIDIA H100 SXM5', 'h100_sxm'],
  ['H100 PCIe', 'h100_pcie'],
  ['h100-64g', 'h100_64g'],
  ['H100 64 GB', 'h100_64g'],
  ['GB200 NVL72', 'gb200'],
  ['MI300X', 'mi300x'],
  ['RTX PRO 6000', 'rtx_pro_6000_server'],
])('%s is %s', (spelling, name) => expect(hardwareNamed(spelling).name).toBe(name));

test.each([
  ['BF16', 'bfloat16'],
  ['half', 'bfloat16'],
  ['fp8-block', 'fp8_block'],
  ['NVFP4', 'nvfp4'],
  ['mxfp4', 'w4a16_mxfp4'],
])('%s is %s', (spelling, name) => expect(dtypeNamed(spelling).name).toBe(name));

test('what there is not is named with what is near', () => {
  expect(() => hardwareNamed('h10')).toThrow(/did you mean "h/);
  expect(() => dtypeNamed('fp9')).toThrow(/There is: bfloat16, fp8/);
});

test('no two profiles share a spelling, and each has a source', () => {
  const names = PROFILES.flatMap(({ name, spellings }) => [name.replaceAll('_', ''), ...spellings]);
  expect(new Set(names).size).toBe(names.length);
  for (const { source } of PROFILES) expect(source.length).toBeGreaterThan(10);
});

test('more work takes longer', () => {
  const h100 = hardwareNamed('h100');
  const us = (m: number) => timeOf({ op: 'gemm', m, n: 4096, k: 4096, dtype: 'bf16' }, h100).us;
  expect(us(8192)).toBeGreaterThan(us(64));
});
