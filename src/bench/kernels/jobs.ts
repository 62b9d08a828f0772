/** The rows of the table of kernels: which variant of which case, and who would take it. */
import type { Gpu } from '../../gpu/gpu.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import { isRegistered } from '../../validate/registered.ts';
import { observe } from '../../measure/observe.ts';

export interface Job {
  readonly kernelCase: KernelCase;
  readonly variant: string;
  /** Prepared with this name; undefined: as tuned, which no single name stands for. */
  readonly named: string | undefined;
  /** The one that is taken when none is named. */
  readonly chosen: boolean;
  /** One of the user's own, which is measured like what is taken. */
  readonly registered: boolean;
  /** Who takes this one: the family by itself, or what was tuned. */
  readonly choice?: 'default' | 'tuned';
}

/** A row per variant, and one for what was tuned where no single variant stands for it. */
export async function jobsOf(gpu: Gpu, kernelCase: KernelCase): Promise<Job[]> {
  const names = kernelCase.variants(gpu);
  const found = await chosenBy(gpu, kernelCase, false);
  // One that cannot even be prepared keeps a row, whose check says why.
  const byDefault = found ?? { variant: names[0], changes: 0, single: true };
  const tuned = gpu.tuning === undefined ? byDefault : await chosenBy(gpu, kernelCase, true);
  const isTuned = tuned !== undefined && tuned.changes > 0;
  const single = isTuned && tuned.single;
  const chosen = single ? tuned.variant : isTuned ? undefined : byDefault.variant;
  const jobs = names.map((variant): Job => {
    const choice = single && variant === tuned.variant ? 'tuned' : undefined;
    const own = choice ?? (variant === byDefault.variant ? 'default' : undefined);
    return {
      ...{ kernelCase, variant, named: variant, chosen: variant === chosen },
      registered: isRegistered(kernelCase, variant),
      ...(own && { choice: own }),
    };
  });
  if (!isTuned || single) return jobs;
  const mixed: Job = {
    ...{ kernelCase, variant: 'mixed', named: undefined, chosen: true, registered: false },
    choice: 'tuned',
  };
  return [...jobs, mixed];
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
    gpu.requireUsable();
    return undefined; // Its check reports why.
  }
}
