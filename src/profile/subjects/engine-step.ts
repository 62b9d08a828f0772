/** One step of an engine: the prompts of all sequences, or one that comes after them. */
import type { Engine, StepOptions, StepResult } from '../../runtime/engine.ts';
import type { Request } from '../../runtime/step/plan.ts';
import type { Subject } from './subject.ts';

/**
 * @param before what comes before the step, for one that continues.
 * @throws ConfigError when it runs, for requests that the engine was not made for.
 */
export function stepSubject(
  engine: Engine,
  requests: readonly Request[],
  before?: readonly Request[],
): Subject {
  const step = (options: StepOptions): Promise<StepResult> =>
    engine.exclusively(async (steps) => {
      steps.reset();
      if (before !== undefined) await steps.forward(before);
      return steps.forward(requests, options);
    });
  return {
    run: async (timing, apart = false) => {
      const result = await step({ timing, apart });
      return { wallNs: result.hostNs, pieces: [{ ...result, hostSyncs: 1 + result.hostSyncsInLayers }] };
    },
    expertRows: async () => [(await step({ experts: true })).expertRows ?? []],
  };
}
