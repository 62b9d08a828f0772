/**
 * Load balancing without an auxiliary loss (DeepSeek-V3, arXiv 2412.19437, 2.1.2): every expert has a bias that is added to
 * its score for the choice only. After a step it falls by the rate where the expert was overloaded, and rises otherwise.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { at, sum } from '../../core/math.ts';

/** What the paper trained with. */
export const BIAS_RATE = 0.001;

/** @throws ConfigError for a rate that is not positive and finite. */
export function checkBiasRate(rate: number): void {
  if (rate > 0 && rate < Infinity) return;
  throw new ConfigError(`the rate of the bias is ${rate}; it must be a positive number, as ${BIAS_RATE}.`);
}

/**
 * The biases after a step: b + rate sign(mean load - load). Loads [4, 1, 1] at rate 0.1: the first by -0.1, the others by +0.1.
 * @param load rows of each expert in that step, before any capacity.
 */
export function updatedBias(
  bias_E: readonly number[],
  load: readonly number[],
  rate: number = BIAS_RATE,
): number[] {
  requireGiven('The biases', bias_E, 'list');
  requireGiven('The load', load, 'list');
  const mean = sum(load) / load.length;
  return bias_E.map((bias, e) => bias + rate * Math.sign(mean - at(load, e)));
}
