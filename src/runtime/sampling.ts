/** Which token comes next, from the logits of the last: the most likely, or a draw. All in f64. */
import { CheckError, ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import type { Random } from '../core/random.ts';

/** How a token is chosen. */
export interface SamplingOptions {
  /** 0 (the default) takes the most likely token, ties to the lower id. */
  readonly temperature?: number;
  /** Only so many most likely tokens are drawn from; all by default. */
  readonly topK?: number;
  /** Only the most likely tokens that together have this probability are drawn from; all (1) by default. */
  readonly topP?: number;
  /** Logits of tokens that the text has already are divided by it when positive, else multiplied (Keskar et al., arXiv 1909.05858). */
  readonly repetitionPenalty?: number;
}

/** @throws ConfigError for numbers that make no choice. */
export function requireSampling(options: SamplingOptions): void {
  const { temperature = 0, topK, topP = 1, repetitionPenalty = 1 } = options;
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new ConfigError(`temperature (${temperature}) must be 0 (greedy) or a positive number.`);
  }
  if (topK !== undefined && !(Number.isSafeInteger(topK) && topK >= 1)) {
    throw new ConfigError(`topK (${topK}) must be a whole number from 1, or left out.`);
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new ConfigError(`topP (${topP}) must be more than 0 and at most 1.`);
  }
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity)) {
    throw new ConfigError(`repetitionPenalty (${repetitionPenalty}) must be a positive number.`);
  }
}

/** The next token. @param seen ids of the text so far. @throws CheckError when a logit is not finite. */
export function nextToken(
  logits: ArrayLike<number>,
  seen: Iterable<number>,
  options: SamplingOptions,
  random: Random,
): number {
  const { temperature = 0, topK = Infinity, topP = 1, repetitionPenalty = 1 } = options;
  const penalised = repetitionPenalty === 1 ? logits : withPenalty(logits, seen, repetitionPenalty);
  if (temperature === 0) return argmax(penalised);
  if (topK >= logits.length && topP === 1) return sample(penalised, temperature, random);
  argmax(penalised);
  const ranked = Array.from(penalised, (logit, id) => ({ id, logit })).sort(
    (a, b) => b.logit - a.logit || a.id - b.id,
  );
  const highest = at(ranked, 0).logit;
  const kept = ranked
    .slice(0, topK)
    .map(({ id, logit }) => ({ id, weight: Math.exp((logit - highest) / temperature) }));
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let before = 0;
  const nucleus = kept.filter(({ weight }) => {
    const isIn = before < topP * total;
    before += weight;
    return isIn;
  });
  return at(
    nucleus,
    drawn(
      nucleus.map(({ weight }) => weight),
      random,
    ),
  ).id;
}

function withPenalty(logits: ArrayLike<number>, seen: Iterable<number>, penalty: number): Float64Array {
  const changed = Float64Array.from(logits);
  for (const id of new Set(seen)) {
    const logit = at(changed, id);
    changed[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  return changed;
}

/** Index of the largest value, ties to the lower. @throws CheckError when a value is not finite. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 0; i < values.length; i++) {
    const value = at(values, i);
    if (!Number.isFinite(value)) throw new CheckError(`Logit ${i} is ${value}; the forward pass went wrong.`);
    if (value > at(values, best)) best = i;
  }
  return best;
}

/** One draw from softmax(logits / temperature), in f64. */
export function sample(logits: ArrayLike<number>, temperature: number, random: Random): number {
  const highest = at(logits, argmax(logits));
  return drawn(
    Array.from(logits, (v) => Math.exp((v - highest) / temperature)),
    random,
  );
}

/** An index, each as likely as its weight. */
function drawn(weights: readonly number[], random: Random): number {
  let rest = random.uniform() * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < weights.length; i++) {
    rest -= at(weights, i);
    if (rest < 0) return i;
  }
  return weights.length - 1;
}
