/** The load of a model's experts, whichever of its engines runs. */
import type { Gpu } from '../../gpu/gpu.ts';
import { ExpertCounter, type ExpertLoad } from '../../runtime/expert-load.ts';
import { type ObservedStep, observeSteps } from '../../runtime/step/observe.ts';

/** Tells of every step from now on that has its experts; another model begins anew. @returns its end. */
export function watchLoad(gpu: Gpu, tell: (load: ExpertLoad) => void): () => void {
  let of: ObservedStep['config'] | undefined;
  let counter: ExpertCounter | undefined;
  return observeSteps(gpu, ({ config, result }) => {
    if (result.experts === undefined) return;
    if (counter === undefined || config !== of) counter = new ExpertCounter(config);
    of = config;
    counter.add(result);
    tell(counter);
  });
}
