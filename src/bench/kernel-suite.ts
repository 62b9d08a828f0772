/** All kernels: first whether they are right, then how long they take. */
import { messageOf } from '../core/errors.ts';
import { NS_PER_S } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelCase } from '../validate/kernel-case.ts';
import type { CaseResult } from '../validate/run-case.ts';
import { isDrift, type Canary, type Drift } from './canary.ts';
import { copiesFor, inCopies, type CacheSize, type ColdInputs } from './cold.ts';
import { measureKernel, type BenchClock } from './measure.ts';
import { observe, withTuning } from './observe.ts';
import type { RooflineShare } from './roofline.ts';
import { timedCheck } from './timed-check.ts';
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
  const results: CaseResult[] = [];
  for (const kernelCase of cases) {
    for (const variant of kernelCase.variants(gpu)) {
      // Timed only for what compiling takes: the first run of a kernel is here.
      results.push((await timedCheck(gpu, kernelCase, variant)).result);
      say(`${kernelCase.family}: ${kernelCase.name}, ${variant}`);
    }
  }
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
  /** Who chooses this one: the family by itself, or what was tuned; absent for all others. */
  readonly choice?: 'default' | 'tuned';
  readonly timing: Timing;
  /** Host time of creating its pipelines, and what their first run took more than the next; in no sample. */
  readonly compileNs?: number;
  readonly firstUseNs?: number;
  /** Present when its inputs were made cold. */
  readonly cold?: ColdInputs;
  /** Present when the canary differed around this row. */
  readonly drift?: Drift;
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
  /** Only what would be chosen, by default and tuned. */
  readonly chosenOnly?: boolean;
  /** Read between rows. */
  readonly canary?: Canary | undefined;
  /** Times each row on inputs that this cache does not hold. */
  readonly cold?: CacheSize | undefined;
  readonly say?: (text: string) => void;
}

/** Least time for one case: what does not fit any more is skipped and says so. */
const LEAST_BUDGET_NS = 20e6;
const MOST_BUDGET_NS = 400e6;

interface Job {
  readonly kernelCase: KernelCase;
  readonly variant: string;
  /** Prepared with this name; undefined: as tuned, which no single name stands for. */
  readonly named: string | undefined;
  readonly chosen: boolean;
  readonly choice?: 'default' | 'tuned';
}

/** Checks each case with each variant and times it only then. */
export async function timeKernels(
  gpu: Gpu,
  cases: readonly KernelCase[],
  options: TimeKernelsOptions,
): Promise<KernelTiming[]> {
  const { checked = [], chosenOnly = false, say = () => undefined, canary } = options;
  const end = gpu.platform.now() + options.budgetNs;
  const jobs: Job[] = [];
  for (const kernelCase of cases) {
    jobs.push(...(await jobsOf(gpu, kernelCase)).filter(({ choice }) => !chosenOnly || choice !== undefined));
  }
  // The chosen variants first, and the cheap before the dear: when the time is up, little is missing.
  const costOf = ({ kernelCase }: Job): number => {
    const { flops, bytes } = kernelCase.cost();
    return flops + bytes;
  };
  const order = [...jobs].sort((a, b) => Number(b.chosen) - Number(a.chosen) || costOf(a) - costOf(b));
  const timings = new Map<Job, KernelTiming>();
  let before = (await canary?.read()) ?? 0;
  for (const [i, job] of order.entries()) {
    const { kernelCase, variant, chosen, choice } = job;
    const { family, name } = kernelCase;
    say(`${family}: ${name}, ${variant}`);
    const row = { family, name, variant, chosen, ...(choice && { choice }) };
    const leftNs = (): number => end - gpu.platform.now();
    const measure = async (): Promise<Measurement> => {
      const failure = earlierFailure(checked, kernelCase, variant);
      if (failure !== undefined) return { timing: { state: 'failed', reason: failure } };
      if (leftNs() < LEAST_BUDGET_NS) return { timing: { state: 'skipped', reason: 'no time left' } };
      const share = Math.min(MOST_BUDGET_NS, leftNs() / (order.length - i));
      return checkThenTime(gpu, job, options, Math.max(LEAST_BUDGET_NS, share));
    };
    let found = await measure();
    if (canary !== undefined && found.timing.state === 'measured') {
      let after = await canary.read();
      if (isDrift(before, after)) {
        const again = leftNs() > MOST_BUDGET_NS;
        if (again) {
          [before, found] = [after, await measure()];
          after = await canary.read();
        }
        found = { ...found, drift: { before, after, again } };
      }
      before = after;
    }
    timings.set(job, { ...row, ...found, ...rates(kernelCase, found.timing) });
  }
  return jobs.flatMap((job) => timings.get(job) ?? []);
}

/** A row per variant, and one for what was tuned where no single variant stands for it. */
async function jobsOf(gpu: Gpu, kernelCase: KernelCase): Promise<Job[]> {
  const names = kernelCase.variants(gpu);
  const byDefault = await chosenBy(gpu, kernelCase, false);
  const tuned = gpu.tuning === undefined ? byDefault : await chosenBy(gpu, kernelCase, true);
  const isTuned = tuned !== undefined && tuned.changes > 0;
  const single = isTuned && tuned.single;
  const chosen = single ? tuned.variant : isTuned ? undefined : byDefault?.variant;
  const jobs = names.map((variant): Job => {
    const choice = single && variant === tuned.variant ? 'tuned' : undefined;
    const own = choice ?? (variant === byDefault?.variant ? 'default' : undefined);
    return { kernelCase, variant, named: variant, chosen: variant === chosen, ...(own && { choice: own }) };
  });
  if (!isTuned || single) return jobs;
  return [...jobs, { kernelCase, variant: 'mixed', named: undefined, chosen: true, choice: 'tuned' }];
}

interface Chosen {
  readonly variant: string;
  /** Choices of kernels that differ from the default. */
  readonly changes: number;
  /** All choices of its registry fell on one variant, and nothing else changed. */
  readonly single: boolean;
}

async function chosenBy(gpu: Gpu, kernelCase: KernelCase, tuned: boolean): Promise<Chosen | undefined> {
  try {
    const tuning = tuned ? gpu.tuning : undefined;
    const { result, questions } = await observe(gpu, tuning, () => kernelCase.prepare(gpu));
    result.destroy();
    const changed = questions.filter(({ taken, able }) => taken !== able[0]?.name);
    const families = new Set(changed.map(({ family }) => family));
    const taken = new Set(questions.filter(({ family }) => families.has(family)).map((q) => q.taken));
    return {
      variant: result.variant,
      changes: changed.length,
      single: families.size === 1 && taken.size === 1 && taken.has(result.variant),
    };
  } catch {
    return undefined; // Its check reports why.
  }
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

type Measurement = Pick<KernelTiming, 'timing' | 'compileNs' | 'firstUseNs' | 'cold' | 'drift'>;

async function checkThenTime(
  gpu: Gpu,
  { kernelCase, named }: Job,
  { clock, cold }: TimeKernelsOptions,
  budgetNs: number,
): Promise<Measurement> {
  // A named variant is timed among the defaults of everything else.
  const tuning = named === undefined ? gpu.tuning : undefined;
  return withTuning(gpu, tuning, async () => {
    const { result, compileNs, firstUseNs } = await timedCheck(gpu, kernelCase, named);
    const known = { compileNs, firstUseNs };
    if (!result.pass) return { timing: { state: 'failed', reason: result.message }, ...known };
    try {
      const inputs = cold && copiesFor(kernelCase.cost().bytes, cold);
      const prepared = await inCopies(inputs?.copies ?? 1, () => kernelCase.prepare(gpu, named));
      try {
        const minSamples = budgetNs < 100e6 ? 3 : 5;
        const timing = await measureKernel(gpu, (commands) => prepared.record(commands), clock, {
          budgetNs,
          minSamples,
        });
        return { timing, ...known, ...(inputs && { cold: inputs }) };
      } finally {
        prepared.destroy();
      }
    } catch (error) {
      return { timing: { state: 'failed', reason: messageOf(error) }, ...known };
    }
  });
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
