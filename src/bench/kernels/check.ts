/** Whether all kernels are right: every case with every variant, told by family. */
import { maxOf } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
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
  /** Only what is taken when no variant is named. */
  readonly chosenOnly?: boolean;
  /** On the host's clock: runs of other variants are not begun after it. */
  readonly othersEndNs?: number;
  /** Told what is at hand. */
  readonly say?: (text: string) => void;
}

export interface KernelChecks {
  readonly families: readonly FamilyReport[];
  /** Runs of other variants for which there was no time. */
  readonly notRun: number;
}

/** Every case with the variant that is taken, which is never left out, then with all others. */
export async function checkKernels(
  gpu: Gpu,
  cases: readonly KernelCase[],
  { chosenOnly = false, othersEndNs = Infinity, say = () => undefined }: CheckOptions = {},
): Promise<KernelChecks> {
  const results: CaseResult[] = [];
  // Timed only for what compiling takes: the first run of a kernel is here.
  const run = async (kernelCase: KernelCase, variant?: string): Promise<CaseResult> => {
    const { result } = await timedCheck(gpu, kernelCase, variant);
    results.push(result);
    say(`${kernelCase.family}: ${kernelCase.name}, ${result.variant}`);
    return result;
  };
  await compileTaken(gpu, cases, say);
  const taken = new Map<KernelCase, string>();
  for (const kernelCase of cases) taken.set(kernelCase, (await run(kernelCase)).variant);
  let notRun = 0;
  for (const kernelCase of chosenOnly ? [] : cases) {
    const variants = kernelCase.variants(gpu);
    if (gpu.platform.now() < othersEndNs) await compileVariants(gpu, kernelCase, variants);
    for (const variant of variants) {
      // With tuned choices, that name alone is another run.
      if (gpu.tuning === undefined && variant === taken.get(kernelCase)) continue;
      if (gpu.platform.now() < othersEndNs) await run(kernelCase, variant);
      else notRun += 1;
    }
  }
  const names = [...new Set(cases.map(({ family }) => family))];
  const families = names.map((family) =>
    familyReport(
      family,
      results.filter((result) => result.family === family),
    ),
  );
  return { families, notRun };
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
