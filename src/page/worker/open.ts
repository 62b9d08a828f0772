/** A first look at the adapter: what it says of itself, its clock, and one product of matrices held against float64. */
import { SHOWN_FEATURES, SHOWN_LIMITS } from '../../bench/examine.ts';
import { benchCases, SCALES } from '../../bench/kernels/bench-cases.ts';
import { openGpu, type Gpu } from '../../gpu/gpu.ts';
import { measureClockStep } from '../../measure/clock.ts';
import { chooseClock } from '../../measure/stopwatch.ts';
import { matmul } from '../../ops/dense/matmul.ts';
import { ops } from '../../ops/ops.ts';
import type { Platform } from '../../platform/platform.ts';
import { kernelCases } from '../../validate/cases.ts';
import { opCases } from '../../validate/kernel-case.ts';
import { runCase } from '../../validate/run-case.ts';
import type { Greeting, Opened } from '../protocol/reports.ts';

/** @param greeted is told first, before clocks are looked at. */
export async function examine(platform: Platform, greeted: (greeting: Greeting) => void): Promise<Opened> {
  const gpu = await openGpu(platform);
  try {
    const facts = { ...gpu.facts, search: [...gpu.facts.search] };
    const greeting = { facts, hello: await firstProduct(gpu) };
    greeted(greeting);
    const step = await measureClockStep(gpu);
    return {
      ...greeting,
      features: Object.fromEntries(SHOWN_FEATURES.map((name) => [name, gpu.has(name)])),
      limits: Object.fromEntries(SHOWN_LIMITS.map((name) => [name, gpu.limits[name]])),
      clock: await chooseClock(gpu),
      ...(step && { gpuStepNs: step.stepNs }),
      families: families(gpu),
    };
  } finally {
    gpu.destroy();
  }
}

/** Compiles in a tenth of the time of what a CPU adapter takes by default, a third of a second there. */
const FIRST_VARIANT = 'plain';

async function firstProduct(gpu: Gpu): Promise<Opened['hello']> {
  const [product] = opCases(matmul, {
    'first product': { tensors: (make) => ({ a: make.normal([37, 64]), b: make.weight([29, 64]) }) },
  });
  if (product === undefined) return { pass: false, message: 'there is no case' };
  const { pass, message } = await runCase(gpu, product, FIRST_VARIANT);
  return { pass, message };
}

/** What a user may choose from; nothing of it is made yet. */
function families(gpu: Gpu): Opened['families'] {
  const rows = benchCases(SCALES[gpu.facts.kind === 'gpu' ? 'gpu' : 'software']);
  return ops.map(({ name, variants }) => ({
    name,
    variants: variants.map((variant) => ({ name: variant.name, idea: variant.idea })),
    rows: rows.filter(({ family }) => family === name).map((row) => ({ name: row.name, quick: row.quick })),
    cases: kernelCases.filter(({ family }) => family === name).length,
  }));
}
