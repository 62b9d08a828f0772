/** Compiling before any clock starts, several pipelines at a time. */
import { at } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import { withTuning } from '../../measure/observe.ts';

/** Adapters compile on threads of their own; more at once than there are cores only takes memory. A guess. */
const AT_ONCE = 4;

/** What every case takes when no variant is named. A kernel that does not compile says so when it is checked. */
export async function compileTaken(
  gpu: Gpu,
  cases: readonly KernelCase[],
  say: (text: string) => void = () => undefined,
): Promise<void> {
  let done = 0;
  await inParallel(cases, async (one) => {
    await compile(gpu, one);
    say(`${++done} of ${cases.length}: ${one.family}, ${one.name}`);
  });
}

/** Variants of one case, each among the defaults of everything else. */
export async function compileVariants(
  gpu: Gpu,
  kernelCase: KernelCase,
  variants: readonly string[],
): Promise<void> {
  await withTuning(gpu, undefined, () => inParallel(variants, (name) => compile(gpu, kernelCase, name)));
}

async function compile(gpu: Gpu, kernelCase: KernelCase, variant?: string): Promise<void> {
  try {
    (await kernelCase.prepare(gpu, variant)).destroy();
  } catch {
    gpu.requireUsable();
    // Its check reports why.
  }
}

/** A few at a time, begun in order. */
async function inParallel<T>(values: readonly T[], work: (value: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < values.length) await work(at(values, next++));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
