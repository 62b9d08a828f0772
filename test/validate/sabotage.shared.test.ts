/** The check catches every saboteur, and for the reason that it should. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { kernelCases } from '../../src/validate/cases.ts';
import { caseOf, runSaboteur, sabotaged, saboteurs } from '../../src/validate/sabotage.ts';
import { isThorough } from '../setup/full.ts';
import { testPlatform } from '../setup/gpu.ts';

let honest: Gpu;
beforeAll(async () => {
  honest = await openGpu(testPlatform());
});
afterAll(() => honest.destroy());

test('names are unique', () => {
  expect(new Set(saboteurs.map((s) => s.name)).size).toBe(saboteurs.length);
});

test('each has its text in its shader, once, and its case', () => {
  for (const saboteur of saboteurs) {
    expect(() => sabotaged(testPlatform(), saboteur)).not.toThrow();
    expect(caseOf(saboteur).name).toBe(saboteur.caseName);
  }
});

/** Each is a kernel to compile: a short run takes every eighth. */
const chosen = saboteurs.filter((_, i) => isThorough || i % 8 === 0);

test.for(chosen.map((s) => [s.name, s] as const))('caught: %s', async ([, saboteur], context) => {
  if (!caseOf(saboteur).variants(honest).includes(saboteur.variant)) {
    context.skip(`this adapter cannot run ${saboteur.variant}`);
  }
  const { caught, message } = await runSaboteur(testPlatform(), saboteur);
  expect(message).toMatch(/over budget/);
  expect(caught).toBe(true);
});

test('without poison, a kernel that keeps old results would pass', async () => {
  const saboteur = saboteurs.find((s) => s.name === 'keeps what an earlier run wrote');
  const kernelCase = kernelCases.find((c) => c.family === 'matmul' && c.name === 'primes');
  if (saboteur === undefined || kernelCase === undefined) throw new Error('no such saboteur or case');
  const gpu = await openGpu(sabotaged(testPlatform(), saboteur));
  const prepared = await kernelCase.prepare(gpu, 'plain');
  const commands = gpu.commands('no poison');
  prepared.record(commands);
  commands.submit();
  const got = (await prepared.read()).get('c')?.data ?? [];
  const want = kernelCase.reference().get('c')?.values ?? [];
  expect(Math.abs((got[7] ?? NaN) - (want[7] ?? NaN))).toBeLessThan(1e-4);
  gpu.destroy();
});

test('a saboteur whose place is gone is an error of ours', () => {
  const [first] = saboteurs;
  if (first === undefined) throw new Error('there are no saboteurs');
  expect(() => sabotaged(testPlatform(), { ...first, find: 'not there' })).toThrow(
    /0 times; a saboteur needs it once/,
  );
});
