/** A user of TypeScript: strict, in both resolutions, with the package's own types checked as well. */
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { runIn, type Outcome } from './run.ts';

const consumer = inject('consumer');
const TSC = createRequire(import.meta.url).resolve('typescript/bin/tsc');

const PROGRAM = `
import { bench, nodePlatform, openGpu, validate, type BenchOptions, type Request, type StepResult } from 'moebius';
import { createEngine, webPlatform, type Platform } from 'moebius/web';
import { defineKernel, gemmVariants, spread, type Variant } from 'moebius/kernels';

const options: BenchOptions = { quick: true, seconds: 1 };
export const result: Promise<{ readonly pass: boolean }> = bench(options);
export const checked = validate({ quick: true });
export const platforms: readonly Platform[] = [nodePlatform(), webPlatform()];
export const device: Promise<GPUDevice> = openGpu(nodePlatform(), 'auto').then((gpu) => gpu.device);
export const twice = defineKernel({
  shader: 'mine/twice.wgsl',
  spec: { WG: 64 },
  params: { n: 'u32' },
  buffers: { x: 'read', y: 'write' },
  grid: ({ WG }, { n }) => spread(Math.ceil(n / WG)),
});
export const names: readonly string[] = gemmVariants.map((variant: Pick<Variant<never>, 'name'>) => variant.name);
export async function step(engine: Awaited<ReturnType<typeof createEngine>>, ids: number[]): Promise<StepResult> {
  const request: Request = { sequence: 0, ids };
  return engine.forward([request], { logits: 'all' });
}
`;

const WRONG = [
  ["import { bench } from 'moebius';\nvoid bench({ quick: 'yes' });", /TS2322/],
  ["import { noSuch } from 'moebius/web';\nnoSuch();", /TS2305/],
  ["import { bench } from 'moebius/web';\nvoid bench();", /TS2305/],
  ["import { spread } from 'moebius/kernels';\nspread('1');", /TS2345/],
  ["import { openGpu } from 'moebius/dist/gpu/gpu.js';\nvoid openGpu;", /TS2307/],
] as const;

const RESOLUTIONS = [
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'esnext', moduleResolution: 'bundler' },
] as const;

async function compile(
  how: (typeof RESOLUTIONS)[number],
  files: Readonly<Record<string, string>>,
): Promise<Outcome> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(consumer, name), text);
  const compilerOptions = { ...how, strict: true, skipLibCheck: false, noEmit: true, target: 'es2023' };
  const config = { compilerOptions, files: Object.keys(files) };
  await writeFile(join(consumer, 'tsconfig.json'), JSON.stringify(config));
  return runIn(consumer, process.execPath, [TSC, '-p', '.']);
}

test.each(RESOLUTIONS)('$moduleResolution takes what is right and refuses what is wrong', async (how) => {
  const wrong = Object.fromEntries(WRONG.map(([text], i) => [`wrong-${i}.ts`, text]));
  const { code, stdout } = await compile(how, { 'program.ts': PROGRAM, ...wrong });
  expect(code).not.toBe(0);
  const errors = stdout.split('\n').filter((line) => line !== '');
  WRONG.forEach(([, message], i) => {
    expect(errors.filter((line) => line.startsWith(`wrong-${i}.ts`)).join()).toMatch(message);
  });
  expect(errors.filter((line) => !line.startsWith('wrong-'))).toEqual([]);
});
