/** Which rows a bench is about, by the names that a user gives. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rowsOf, type Selection } from '../../src/bench/kernels/select.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => gpu.destroy());

const found = (only: Selection, quick = false) => rowsOf(gpu, quick, only);
const names = (only: Selection, quick = false): string[] => found(only, quick).cases.map(({ name }) => name);
const families = (only: Selection): string[] => [...new Set(found(only).cases.map(({ family }) => family))];

test('all rows without a selection, fewer when quick', () => {
  expect(families({})).toEqual(expect.arrayContaining(['matmul', 'moe', 'attention', 'internal']));
  expect(names({}, true).length).toBeLessThan(names({}).length);
  expect(found({}).namesVariants).toBe(false);
});

test('families choose their rows and their checks', () => {
  const { isFamily, cases } = found({ families: ['rope', 'matmul'] });
  expect(families({ families: ['rope', 'matmul'] })).toEqual(['rope', 'matmul']);
  const all = found({}).cases;
  expect(all.filter(isFamily)).toEqual(
    cases.map((one) => expect.objectContaining({ name: one.name }) as unknown),
  );
});

test("a kernel is a part of a row's name, commas and all", () => {
  expect(names({ kernels: ['decode'] }).every((name) => /decode/i.test(name))).toBe(true);
  const [whole] = names({ kernels: ['card q, k, v: 1 row'] });
  expect(whole).toBe('card q, k, v: 1 row');
  expect(names({ kernels: ['prefill, 1 row'] })).toHaveLength(2);
});

test('or a variant, of all families or of one', () => {
  const { cases, wants, namesVariants } = found({ kernels: ['matmul/plain'] });
  expect(namesVariants).toBe(true);
  expect(cases.every(({ family }) => family === 'matmul')).toBe(true);
  const [one] = cases;
  if (one === undefined) throw new Error('no row');
  expect(one.variants(gpu).filter((variant) => wants(one, variant))).toEqual(['plain']);
  expect(new Set(found({ kernels: ['plain'] }).cases.map(({ family }) => family)).size).toBeGreaterThan(1);
  // Named, it is timed in a quick run too, though nobody takes it.
  expect(names({ kernels: ['matmul/plain'] }, true).length).toBe(cases.length);
});

test('a name that there is not is refused with what there is', () => {
  expect(() => found({ families: ['rop'] })).toThrow(
    /no kernel family "rop" \(did you mean "rope"\?\)\. Families: gate-topk, moe, /,
  );
  expect(() => found({ kernels: ['nothing'] })).toThrow(
    /no kernel "nothing"\. Variants: .*tiled.* Rows, of which a part will do: .*decode/,
  );
  expect(() => found({ kernels: [''] })).toThrow(/no kernel ""/);
  expect(() => found({ families: ['rope'], kernels: ['matmul/tiled'] })).toThrow(/no kernel "matmul\/tiled"/);
});
