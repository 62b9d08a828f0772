/** All kernels: first whether they are right, then how long they take. */
import { messageOf } from '../core/errors.ts';
import { NS_PER_S } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelCase } from '../validate/kernel-case.ts';
import { runCase, runCases, type CaseResult } from '../validate/run-case.ts';
import { measureKernel, type BenchClock } from './measure.ts';
import type { RooflineShare } from './roofline.ts';
import { medianNs, type Timing } from './timing.ts';

export interface FamilyReport {
  readonly family: string;
  readonly cases: number;
  /** Cases times the variants that can run here. */
  readonly runs: number;
  readonly failed: number;
  /** Largest error as a share of what arithmetic allows, over all runs. */
  readonly worstShare: number;
  readonly failures: readonly FailedRun[];
}

export interface FailedRun {
  readonly name: string;
  readonly variant: string;
  readonly message: string;
}

/** 'matmul, primes, variant plain: c: 3 of 37 over budget; ...' */
export function failureText(family: string, { name, variant, message }: FailedRun): string {
  return `${family}, ${name}, variant ${variant}: ${message}`;
}

/** Runs every case with every variant. @param say is told what is at hand. */
export async function checkKernels(
  gpu: Gpu,
  cases: readonly KernelCase[],
  say: (text: string) => void = () => undefined,
): Promise<FamilyReport[]> {
  const results = await runCases(gpu, cases, ({ family, name, variant }) =>
    say(`${family}: ${name}, ${variant}`),
  );
  const families = [...new Set(cases.map(({ family }) => family))];
  return families.map((family) =>
    familyReport(
      family,
      results.filter((result) => result.family === family),
    ),
  );
}

export function familyReport(family: string, results: readonly CaseResult[]): FamilyReport {
  const failed = results.filter(({ pass }) => !pass);
  return {
    family,
    cases: new Set(results.map(({ name }) => name)).size,
    runs: results.length,
    failed: failed.length,
    worstShare: Math.max(0, ...results.map(({ worstShare }) => worstShare)),
    failures: failed.map(({ name, variant, message }) => ({ name, variant, message })),
  };
}

export interface KernelTiming {
  readonly family: string;
  readonly name: string;
  readonly variant: string;
  /** True for the variant that is taken when none is named. */
  readonly chosen: boolean;
  readonly timing: Timing;
  readonly flops: number;
  /** Each input and output once. */
  readonly bytes: number;
  /** Absent without a measured time. */
  readonly flopsPerSecond?: number;
  readonly bytesPerSecond?: number;
  /** Share of what this adapter can do; absent without a measured time or without the ceilings it needs. */
  readonly roof?: RooflineShare;
}

export interface TimeKernelsOptions {
  readonly clock: BenchClock;
  /** What was checked before: a variant that failed there is not timed on any case. */
  readonly checked?: readonly FamilyReport[];
  /** Host time for all of them; shared out evenly among those that are left. */
  readonly budgetNs: number;
  /** Only the variant that would be chosen. */
  readonly chosenOnly?: boolean;
  readonly say?: (text: string) => void;
}

/** Least time for one case: what does not fit any more is skipped and says so. */
const LEAST_BUDGET_NS = 20e6;
const MOST_BUDGET_NS = 400e6;

/** Checks each case with each variant and times it only then. */
export async function timeKernels(
  gpu: Gpu,
  cases: readonly KernelCase[],
  options: TimeKernelsOptions,
): Promise<KernelTiming[]> {
  const { clock, checked = [], chosenOnly = false, say = () => undefined } = options;
  const end = gpu.platform.now() + options.budgetNs;
  const jobs: { kernelCase: KernelCase; variant: string; chosen: boolean }[] = [];
  for (const kernelCase of cases) {
    const chosen = await chosenVariant(gpu, kernelCase);
    for (const variant of kernelCase.variants(gpu)) {
      if (!chosenOnly || variant === chosen) jobs.push({ kernelCase, variant, chosen: variant === chosen });
    }
  }
  // The chosen variants first, and the cheap before the dear: when the time is up, little is missing.
  const costOf = ({ kernelCase }: (typeof jobs)[number]): number => {
    const { flops, bytes } = kernelCase.cost();
    return flops + bytes;
  };
  const order = [...jobs].sort((a, b) => Number(b.chosen) - Number(a.chosen) || costOf(a) - costOf(b));
  const timings = new Map<(typeof jobs)[number], KernelTiming>();
  for (const [i, job] of order.entries()) {
    const { kernelCase, variant, chosen } = job;
    const { family, name } = kernelCase;
    say(`${family}: ${name}, ${variant}`);
    const left = end - gpu.platform.now();
    const budgetNs = Math.min(MOST_BUDGET_NS, left / (order.length - i));
    const failure = earlierFailure(checked, kernelCase, variant);
    let timing: Timing;
    if (failure !== undefined) timing = { state: 'failed', reason: failure };
    else if (left < LEAST_BUDGET_NS) timing = { state: 'skipped', reason: 'no time left' };
    else timing = await checkThenTime(gpu, kernelCase, variant, clock, Math.max(LEAST_BUDGET_NS, budgetNs));
    timings.set(job, { family, name, variant, chosen, timing, ...rates(kernelCase, timing) });
  }
  return jobs.flatMap((job) => timings.get(job) ?? []);
}

/** Every case of `internal` is a kernel of its own; in other families the variant is the kernel. */
function earlierFailure(
  checked: readonly FamilyReport[],
  { family, name }: KernelCase,
  variant: string,
): string | undefined {
  const failures = checked.find((report) => report.family === family)?.failures ?? [];
  const same = failures.find((run) => (family === 'internal' ? run.name === name : run.variant === variant));
  return same === undefined ? undefined : `its check failed on ${same.name}: ${same.message}`;
}

async function chosenVariant(gpu: Gpu, kernelCase: KernelCase): Promise<string | undefined> {
  try {
    const prepared = await kernelCase.prepare(gpu);
    prepared.destroy();
    return prepared.variant;
  } catch {
    return undefined; // Its check reports why.
  }
}

async function checkThenTime(
  gpu: Gpu,
  kernelCase: KernelCase,
  variant: string,
  clock: BenchClock,
  budgetNs: number,
): Promise<Timing> {
  const result = await runCase(gpu, kernelCase, variant);
  if (!result.pass) return { state: 'failed', reason: result.message };
  try {
    const prepared = await kernelCase.prepare(gpu, variant);
    try {
      const minSamples = budgetNs < 100e6 ? 3 : 5;
      return await measureKernel(gpu, (commands) => prepared.record(commands), clock, {
        budgetNs,
        minSamples,
      });
    } finally {
      prepared.destroy();
    }
  } catch (error) {
    return { state: 'failed', reason: messageOf(error) };
  }
}

function rates(
  kernelCase: KernelCase,
  timing: Timing,
): Pick<KernelTiming, 'flops' | 'bytes' | 'flopsPerSecond' | 'bytesPerSecond'> {
  const { flops, bytes } = kernelCase.cost();
  const ns = medianNs(timing);
  if (ns === undefined || ns === 0) return { flops, bytes };
  const perSecond = NS_PER_S / ns;
  return { flops, bytes, flopsPerSecond: flops * perSecond, bytesPerSecond: bytes * perSecond };
}
