/** The bias controller at work on made-up routing, and what it came to. */
import { at, range } from '../core/math.ts';
import { BIAS_RATE, checkBiasRate, updatedBias } from '../routing/balance/bias.ts';
import { maxOverMean } from '../routing/load.ts';
import { chooseTopK, type GeneratorSpec, logitsOf } from '../routing/trace/generate.ts';

export interface BiasOptions {
  readonly steps: number;
  readonly tokensPerStep: number;
  /** Of the first step; it falls geometrically to the paper's 0.001 at the last. */
  readonly rate: number;
}

export interface TrainedBias {
  readonly bias_E: readonly number[];
  /** Max over mean of the experts' load in every step, before its update. */
  readonly maxOverMean: readonly number[];
  /** The first step below 1.10, from 1; absent where there was none. */
  readonly firstBelow?: number;
}

/** Guesses: at a constant 0.001 it takes more than 200 steps from a skew of Zipf 1.2. */
export const BIAS_DEFAULTS: BiasOptions = { steps: 200, tokensPerStep: 1024, rate: 0.02 };

/** Scores are sigmoids, as DeepSeek-V3's. @throws ConfigError for a rate that cannot be. */
export function trainBias(
  spec: GeneratorSpec,
  sizes: { readonly numExperts: number; readonly topK: number; readonly seed: number },
  options: BiasOptions = BIAS_DEFAULTS,
): TrainedBias {
  const { steps, tokensPerStep, rate } = options;
  checkBiasRate(rate);
  const next = logitsOf(spec, sizes);
  const last = Math.min(rate, BIAS_RATE);
  let bias_E = range(sizes.numExperts).map(() => 0);
  const found: number[] = [];
  for (const step of range(steps)) {
    const rows = range(tokensPerStep).map(() => next());
    const { ids_TK } = chooseTopK(rows, { topK: sizes.topK, score: 'sigmoid', bias_E });
    const load = range(sizes.numExperts).map(() => 0);
    for (let i = 0; i < ids_TK.length; i++) load[at(ids_TK, i)] = at(load, at(ids_TK, i)) + 1;
    found.push(maxOverMean(load));
    bias_E = updatedBias(bias_E, load, rate * (last / rate) ** (step / Math.max(1, steps - 1)));
  }
  const firstBelow = found.findIndex((value) => value < 1.1) + 1;
  return { bias_E, maxOverMean: found, ...(firstBelow > 0 && { firstBelow }) };
}
