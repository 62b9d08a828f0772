/** A file per family of cases: each runs all cases of its family with all variants, in Node and in Chromium. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { casesOf } from '../../src/validate/cases.ts';
import { runCases } from '../../src/validate/run-case.ts';
import { testPlatform } from '../setup/gpu.ts';

export function testFamily(family: string): void {
  describe(family, () => {
    let gpu: Gpu;
    beforeAll(async () => {
      gpu = await openGpu(testPlatform());
    });
    afterAll(() => gpu.destroy());

    test.each(casesOf(family).map((c) => [c.name, c] as const))('%s', async (_name, kernelCase) => {
      const results = await runCases(gpu, [kernelCase]);
      expect(results.map((r) => r.variant)).toEqual(kernelCase.variants(gpu));
      expect(results.filter((r) => !r.pass).map((r) => `${r.variant}: ${r.message}`)).toEqual([]);
      expect(gpu.ledger.bytes).toBe(0);
    });
  });
}
