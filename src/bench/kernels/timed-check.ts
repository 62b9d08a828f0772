/** A check that also tells what came before steady state: compiling, and what the first run took more than the next. */
import type { Gpu } from '../../gpu/gpu.ts';
import type { CompiledKernel } from '../../gpu/shader/pipeline-cache.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import { runCase, type CaseResult } from '../../validate/run-case.ts';

export interface TimedCheck {
  readonly result: CaseResult;
  /** Host time of creating all pipelines that the case needs, each at its first creation. */
  readonly compileNs: number;
  /**
   * Host time that first runs took more than the runs after them: drivers that translate at the first dispatch do it
   * there. Known for pipelines whose first run was a check.
   */
  readonly firstUseNs: number;
  /** Host time of the last run, submission and wait included: enough to see what is hopeless. */
  readonly hostNs: number;
}

/** What a pipeline's first run took more, by pipeline. */
const firstUse = new WeakMap<CompiledKernel, number>();

export async function timedCheck(gpu: Gpu, kernelCase: KernelCase, variant?: string): Promise<TimedCheck> {
  let used: readonly CompiledKernel[] = [];
  const runsNs: number[] = [];
  const timed: KernelCase = {
    ...kernelCase,
    prepare: async (_gpu, name) => {
      const { result: one, kernels } = await gpu.pipelines.watching(() => kernelCase.prepare(gpu, name));
      used = kernels;
      let began = 0;
      return {
        ...one,
        record: (commands) => {
          began = gpu.platform.now();
          one.record(commands);
        },
        read: async () => {
          await gpu.sync();
          runsNs.push(gpu.platform.now() - began);
          return one.read();
        },
      };
    },
  };
  const result = await runCase(gpu, timed, variant);
  const [first, again] = runsNs;
  const fresh = used.filter((kernel) => !firstUse.has(kernel));
  if (first !== undefined && again !== undefined) {
    for (const kernel of fresh) firstUse.set(kernel, Math.max(0, first - again) / fresh.length);
  }
  const total = (of: (kernel: CompiledKernel) => number): number => used.reduce((ns, k) => ns + of(k), 0);
  return {
    result,
    compileNs: total(({ compileNs }) => compileNs),
    firstUseNs: total((kernel) => firstUse.get(kernel) ?? 0),
    hostNs: runsNs.at(-1) ?? 0,
  };
}
