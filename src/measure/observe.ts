/** Watching and steering choices of kernels while something is prepared. */
import type { Gpu } from '../gpu/gpu.ts';
import type { Tuning, TuningQuestion } from '../gpu/tuning.ts';

/** Runs `work` with another tuning, and puts back what there was. */
export async function withTuning<T>(
  gpu: Gpu,
  tuning: Tuning | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const before = gpu.tuning;
  gpu.tuning = tuning;
  try {
    return await work();
  } finally {
    gpu.tuning = before;
  }
}

export interface Observed<T> {
  readonly result: T;
  /** Every question that was asked, in order, with what was taken. */
  readonly questions: readonly (TuningQuestion & { readonly taken: string })[];
}

/** Runs `work` and keeps the questions that its kernels ask. @param tuning answers them; undefined: the defaults. */
export async function observe<T>(
  gpu: Gpu,
  tuning: Tuning | undefined,
  work: () => Promise<T>,
): Promise<Observed<T>> {
  const questions: (TuningQuestion & { readonly taken: string })[] = [];
  const watching: Tuning = {
    choose: (question) => {
      const taken = tuning?.choose(question) ?? question.able[0]?.name ?? '';
      questions.push({ ...question, taken });
      return taken;
    },
  };
  return { result: await withTuning(gpu, watching, work), questions };
}

/** Answers the `index`th question with `name`, all others with the default. */
export function forcing(index: number, name: string): Tuning {
  let asked = 0;
  return { choose: () => (asked++ === index ? name : undefined) };
}
