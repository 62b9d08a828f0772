/** A file per family of cases: each runs the cases of its family with its variants, in Node and in Chromium. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { casesOf } from '../../src/validate/cases.ts';
import type { KernelCase } from '../../src/validate/kernel-case.ts';
import { type CaseResult, runCase } from '../../src/validate/run-case.ts';
import { isFull, isThorough } from '../setup/full.ts';
import { testPlatform } from '../setup/gpu.ts';
import { pairsOf, spare, traitsOf } from './sparing.ts';
import { stretchGrids } from './stretched.ts';

const isPage = typeof process === 'undefined';
/** Compiling all variants takes minutes in the page, and shows what Node shows: there the default runs, and the plainest. */
const hasFew = isPage && !isFull;

interface Choice {
  /** Leave out variants that a case shows nothing new: for families that compile much. */
  readonly sparing?: boolean;
}

/** With memory around what kernels are given, and workgroups that nobody needs: what a test of a bound is there for. */
const strict = !isPage;

export function testFamily(family: string, { sparing = false }: Choice = {}): void {
  describe(family, () => {
    // Compiling all variants once more takes long, and bf16 is loaded by a line: else a case runs below.
    const inBf16 = (c: KernelCase): boolean => traitsOf(c).some((trait) => trait.endsWith(' bf16'));
    const cases = casesOf(family).filter((c) => isFull || !inBf16(c));
    let gpu: Gpu;
    let variants: Map<KernelCase, string[]>;
    let pairs: Set<string>;
    beforeAll(async () => {
      gpu = await openGpu(testPlatform());
      if (strict) stretchGrids(gpu);
      pairs = pairsOf(gpu, cases, isThorough || !sparing);
      const able = (c: KernelCase): string[] => c.variants(gpu).filter((name) => !hasFew || name === 'plain');
      variants =
        sparing && !isFull && !hasFew ? spare(gpu, cases, pairs) : new Map(cases.map((c) => [c, able(c)]));
    });
    afterAll(() => gpu.destroy());

    test.each(cases.map((c) => [c.name, c] as const))('%s', async (_name, kernelCase) => {
      const results: CaseResult[] = [];
      const named = variants.get(kernelCase) ?? [];
      for (const variant of named) results.push(await runCase(gpu, kernelCase, variant, { strict }));
      expect(results.map((r) => r.variant)).toEqual(named);
      if (hasFew) results.push(await runCase(gpu, kernelCase));
      expect(results.length).toBeGreaterThan(0);
      expect(results.filter((r) => !r.pass).map((r) => `${r.variant}: ${r.message}`)).toEqual([]);
      expect(gpu.ledger.bytes).toBe(0);
    });

    const [ofBf16] = isFull ? [] : casesOf(family).filter(inBf16);
    test.runIf(ofBf16)('bf16 with the default variant', async () => {
      if (ofBf16 === undefined) return;
      const { pass, message } = await runCase(gpu, ofBf16);
      expect({ pass, message }).toMatchObject({ pass: true });
      expect(gpu.ledger.bytes).toBe(0);
    });

    test.skipIf(hasFew)('every variant runs, with every format and choice that its cases have', () => {
      const shown = (of: (kernelCase: KernelCase) => readonly string[]): string[] => {
        const met = cases.flatMap((c) => of(c).flatMap((v) => traitsOf(c).map((t) => `${v}: ${t}`)));
        return [...new Set(met)].filter((pair) => pairs.has(pair)).sort();
      };
      const named = (of: (kernelCase: KernelCase) => readonly string[]): string[] =>
        [...new Set(cases.flatMap(of))].sort();
      expect(shown((c) => variants.get(c) ?? [])).toEqual(shown((c) => c.variants(gpu)));
      expect(named((c) => variants.get(c) ?? [])).toEqual(named((c) => c.variants(gpu)));
    });
  });
}
