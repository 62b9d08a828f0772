/** The experts that a model's tokens took, step by step, as a trace. */
import { at, range, sum } from '../core/math.ts';
import type { MoeConfig } from '../model/config.ts';
import { countIds, type RoutingTrace } from '../routing/trace/trace.ts';
import type { StepResult } from './step/step.ts';

/** Is given steps that were asked for their experts; the tokens of a step's requests follow each other. */
export class RoutingRecorder {
  readonly #config: MoeConfig;
  readonly #source: string;
  /** By layer. */
  readonly #ids: Uint32Array[][];

  /** @param source where it was recorded, for the trace. */
  constructor(config: MoeConfig, source: string) {
    this.#config = config;
    this.#source = source;
    this.#ids = range(config.numLayers).map(() => []);
  }

  add({ experts = [] }: Pick<StepResult, 'experts'>): void {
    for (const layers of experts) layers.forEach((ids, layer) => at(this.#ids, layer).push(ids));
  }

  trace(): RoutingTrace {
    const { name: model, numExperts, topK } = this.#config;
    return {
      ...{ model, source: this.#source, numExperts, topK },
      layers: this.#ids.map((parts, layer) => {
        const ids_TK = new Uint32Array(sum(parts.map(({ length }) => length)));
        let end = 0;
        for (const part of parts) {
          ids_TK.set(part, end);
          end += part.length;
        }
        const count_E = countIds(ids_TK, numExperts, topK);
        return { layer, name: '', numTokens: ids_TK.length / topK, count_E, ids_TK };
      }),
    };
  }
}
