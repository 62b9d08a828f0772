/** The bias controller at work on made-up routing, and what it came to. */
import { at, range } from '../core/math.ts';
import { BIAS_RATE, checkBiasRate, updatedBias } from '../routing/balance/bias.ts';
import { maxOverMean } from '../routing/load.ts';
import { chooseTopK, type GeneratorSpec, logitsOf } from '../routing/trace/generate.ts';

export interface BiasOptions {
  readonly steps: number;
  readonly tokensPerStep: number;
  /** Of all steps; when absent it begins at `FIRST_RATE` and falls geometrically to the paper's 0.001 at the last. */
  readonly rate?: number | undefined;
}

export interface TrainedBias {
  readonly bias_E: readonly number[];
  /** Max over mean of the experts' load in every step, before its update. */
  readonly maxOverMean: readonly number[];
  /** The first step below 1.10, from 1; absent where there was none. */
  readonly firstBelow?: number;
}

/** Guesses: at a constant 0.001 it takes more than 200 steps from a skew of Zipf 1.2. */
export const BIAS_DEFAULTS = { steps: 200, tokensPerStep: 1024 } as const satisfies BiasOptions;
const FIRST_RATE = 0.02;

/** By step. @throws ConfigError for a rate that cannot be. */
export function biasRates({ steps, rate }: BiasOptions): number[] {
  if (rate !== undefined) checkBiasRate(rate);
  const fall = BIAS_RATE / FIRST_RATE;
  return range(steps).map((step) => rate ?? FIRST_RATE * fall ** (step / Math.max(1, steps - 1)));
}

/** What a bias came to. @param loads of the experts in every step. */
export function trainedBias(bias_E: readonly number[], loads: readonly (readonly number[])[]): TrainedBias {
  const found = loads.map(maxOverMean);
  const firstBelow = found.findIndex((value) => value < 1.1) + 1;
  return { bias_E, maxOverMean: found, ...(firstBelow > 0 && { firstBelow }) };
}

/** On the host, in float64. Scores are sigmoids, as DeepSeek-V3's. @throws ConfigError for a rate that cannot be. */
export function trainBias(
  spec: GeneratorSpec,
  sizes: { readonly numExperts: number; readonly topK: number; readonly seed: number },
  options: BiasOptions = BIAS_DEFAULTS,
): TrainedBias {
  const next = logitsOf(spec, sizes);
  let bias_E = range(sizes.numExperts).map(() => 0);
  const loads = biasRates(options).map((rate) => {
    const rows = range(options.tokensPerStep).map(() => next());
    const { ids_TK } = chooseTopK(rows, { topK: sizes.topK, score: 'sigmoid', bias_E });
    const load = range(sizes.numExperts).map(() => 0);
    for (let i = 0; i < ids_TK.length; i++) load[at(ids_TK, i)] = at(load, at(ids_TK, i)) + 1;
    bias_E = updatedBias(bias_E, load, rate);
    return load;
  });
  return trainedBias(bias_E, loads);
}
