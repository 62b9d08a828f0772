/** What a continuation may be asked for. */
import { ConfigError } from '../core/errors.ts';
import { charactersOf } from '../core/text/printable.ts';
import type { CacheDtype } from '../memory/rank-sizes.ts';
import { checkLength } from '../model/text/prompt.ts';
import { requireSampling, type SamplingOptions } from '../runtime/sampling.ts';
import type { WeightDtype } from '../tensor/quantised.ts';
import { requireCache, requireWeights } from './model.ts';
import { MOST_SEED, requireInteger } from './options.ts';

export interface Continuation extends SamplingOptions {
  readonly prompt: string;
  readonly tokens: number;
  readonly seed?: number;
  readonly weights?: WeightDtype | 'stored';
  readonly cache?: CacheDtype;
}

/** @throws ConfigError for values that make no continuation of a model with so many positions. */
export function checkNumbers(options: Continuation, maxPositions: number): void {
  const { prompt, tokens, seed = 0, weights = 'f32', cache = 'f32' } = options;
  requireInteger('tokens', tokens, 1);
  requireInteger('seed', seed, 0, MOST_SEED);
  requireSampling(options);
  requireCache(cache);
  requireWeights(weights);
  if (prompt === '') throw new ConfigError('the prompt is empty; give at least one character to continue.');
  // A token is of some characters at most: what is far too long is not even written as tokens.
  const characters = charactersOf(prompt);
  if (characters > MOST_CHARACTERS * maxPositions)
    checkLength(characters, 'characters', tokens, maxPositions);
}

/** Of a token. A guess, above the longest of any vocabulary. */
const MOST_CHARACTERS = 256;
