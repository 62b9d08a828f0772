/** Whether all kernels are right: every case with every variant, told by family. */
import { maxOf } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import {
  checkRegistered,
  factsOf,
  isRegistered,
  type RegisteredFacts,
  runsOf,
} from '../../validate/registered.ts';
import type { CaseResult } from '../../validate/run-case.ts';
import { compileTaken, compileVariants } from './compile.ts';
import { timedCheck } from './timed-check.ts';

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

export interface CheckOptions {
  /** Only what is taken when no variant is named, and the user's own. */
  readonly chosenOnly?: boolean;
  /** Only the user's own. */
  readonly registeredOnly?: boolean;
  /** On the host's clock: runs of other variants are not begun after it. */
  readonly othersEndNs?: number;
  /** Told what is at hand. */
  readonly say?: (text: string) => void;
  /** Told of every run as it ends. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
  /** Told of all runs so far after each of them. */
  readonly onRun?: (soFar: KernelChecks) => void;
}

export interface KernelChecks {
  readonly families: readonly FamilyReport[];
  /** Runs of other variants for which there was no time. */
  readonly notRun: number;
  /** The user's own variants, one by one. */
  readonly registered: readonly RegisteredFacts[];
}

/**
 * Every case with the user's own variants, in strict runs, and with the variant that is taken, neither of which is left
 * out, then with all others.
 */
export async function checkKernels(
  gpu: Gpu,
  cases: readonly KernelCase[],
  options: CheckOptions = {},
): Promise<KernelChecks> {
  const {
    chosenOnly = false,
    registeredOnly = false,
    othersEndNs = Infinity,
    say = () => undefined,
    onResult = () => undefined,
  } = options;
  const registered = await checkRegistered(gpu, cases, { say });
  const results = registered.flatMap(runsOf);
  results.forEach(onResult);
  const done = (notRun: number): KernelChecks => ({
    families: byFamily(cases, results),
    ...{ notRun, registered: registered.map(factsOf) },
  });
  if (registeredOnly) return done(0);
  // Timed only for what compiling takes: the first run of a kernel is here.
  const run = async (kernelCase: KernelCase, variant?: string): Promise<CaseResult> => {
    const { result } = await timedCheck(gpu, kernelCase, variant);
    results.push(result);
    onResult(result);
    options.onRun?.(done(0));
    say(`${kernelCase.family}: ${kernelCase.name}, ${result.variant}`);
    return result;
  };
  await compileTaken(gpu, cases, say);
  const taken = new Map<KernelCase, string>();
  for (const kernelCase of cases) taken.set(kernelCase, (await run(kernelCase)).variant);
  let notRun = 0;
  for (const kernelCase of chosenOnly ? [] : cases) {
    const variants = kernelCase.variants(gpu).filter((variant) => !isRegistered(kernelCase, variant));
    if (gpu.platform.now() < othersEndNs) await compileVariants(gpu, kernelCase, variants);
    for (const variant of variants) {
      // With tuned choices, that name alone is another run.
      if (gpu.tuning === undefined && variant === taken.get(kernelCase)) continue;
      if (gpu.platform.now() < othersEndNs) await run(kernelCase, variant);
      else notRun += 1;
    }
  }
  return done(notRun);
}

function byFamily(cases: readonly KernelCase[], results: readonly CaseResult[]): FamilyReport[] {
  const names = new Set([...cases, ...results].map(({ family }) => family));
  const of = (family: string): CaseResult[] => results.filter((result) => result.family === family);
  return [...names].filter((name) => of(name).length > 0).map((name) => familyReport(name, of(name)));
}

export function familyReport(family: string, results: readonly CaseResult[]): FamilyReport {
  const failed = results.filter(({ pass }) => !pass);
  return {
    family,
    cases: new Set(results.map(({ name }) => name)).size,
    runs: results.length,
    failed: failed.length,
    worstShare: maxOf(
      results.map(({ worstShare }) => worstShare),
      0,
    ),
    failures: failed.map(({ name, variant, message }) => ({ name, variant, message })),
  };
}

/** Every case of `internal` is a kernel of its own; in other families the variant is the kernel. */
export function earlierFailure(
  checked: readonly FamilyReport[],
  { family, name }: KernelCase,
  variant: string,
): string | undefined {
  const failures = checked.find((report) => report.family === family)?.failures ?? [];
  const same = failures.find((run) => (family === 'internal' ? run.name === name : run.variant === variant));
  return same === undefined ? undefined : `its check failed on ${same.name}: ${same.message}`;
}
