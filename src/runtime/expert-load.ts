/** How many rows each expert has had so far, of steps that were asked for their experts. */
import { at, maxOf, range } from '../core/math.ts';
import type { MoeConfig } from '../model/config.ts';
import type { StepResult } from './step/step.ts';

/** Rows of the experts of a model so far. */
export interface ExpertLoad {
  readonly tokens: number;
  readonly topK: number;
  /** By layer, [E]: all 0 of a layer without experts. */
  readonly count_LE: readonly (readonly number[])[];
}

/** Is given steps, and has the load of all of them. */
export class ExpertCounter implements ExpertLoad {
  readonly topK: number;
  readonly count_LE: number[][];
  #tokens = 0;

  constructor({ numLayers, numExperts, topK }: Pick<MoeConfig, 'numLayers' | 'numExperts' | 'topK'>) {
    this.topK = topK;
    this.count_LE = range(numLayers).map(() => range(numExperts).map(() => 0));
  }

  get tokens(): number {
    return this.#tokens;
  }

  add({ experts = [] }: Pick<StepResult, 'experts'>): void {
    for (const layers of experts) {
      this.#tokens += maxOf(
        layers.map((ids) => ids.length / this.topK),
        0,
      );
      layers.forEach((ids, layer) => {
        const count = at(this.count_LE, layer);
        for (const id of ids) count[id] = at(count, id) + 1;
      });
    }
  }
}
