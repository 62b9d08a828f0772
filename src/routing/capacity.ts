/** How many rows an expert may take, by the conventions of frameworks. T tokens, K choices each, E experts. */
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { quoted } from '../core/text/quoted.ts';

/**
 * - `megatron`: ceil(T K factor / E) (Megatron-Core, `get_capacity` of `moe_utils.py`); factor > 0.
 * - `tutel`: K floor(factor ceil(T / E)) (Tutel, `extract_critical`); factor 0: as many rows as the fullest expert has;
 *   factor < 0: as with 0, but at most what -factor gives.
 * - `switch`: floor(T factor / E), without K (Fedus et al., arXiv 2101.03961, eq. 3; Mesh TensorFlow rounds down and
 *   gives at most T); factor > 0.
 */
export const CAPACITY_CONVENTIONS = ['megatron', 'tutel', 'switch'] as const;
export type CapacityConvention = (typeof CAPACITY_CONVENTIONS)[number];

/**
 * Whose tokens T are: `rank` gives each source rank a capacity at every expert, from its own tokens, as Megatron does;
 * `global` gives every expert one capacity, from all tokens, and lower ranks come first.
 */
export const CAPACITY_SCOPES = ['rank', 'global'] as const;
export type CapacityScope = (typeof CAPACITY_SCOPES)[number];

/** How many rows an expert takes, from how many there are. */
export interface CapacityRule {
  readonly convention: CapacityConvention;
  readonly factor: number;
  readonly scope: CapacityScope;
}

export interface CapacityInput {
  readonly numTokens: number;
  readonly topK: number;
  /** Instances of experts: with replicas, slots. */
  readonly numExperts: number;
  /** Rows of the fullest; asked by `tutel` with a factor of 0 or less. */
  readonly fullest: number;
}

/** @throws ConfigError for a name or factor that the convention does not know. */
export function checkCapacity(rule: CapacityRule): void {
  requireFields('The capacity', rule, { convention: 'string', factor: 'number', scope: 'string' });
  const { convention, factor, scope } = rule;
  requireName('capacity convention', convention, CAPACITY_CONVENTIONS);
  requireName('capacity scope', scope, CAPACITY_SCOPES);
  if (!Number.isFinite(factor))
    throw new ConfigError(`the capacity factor is ${factor}; it must be a number.`);
  if (factor > 0 || convention === 'tutel') return;
  throw new ConfigError(
    `the capacity factor is ${factor}; ${convention} forbids zero and less, which only tutel gives a meaning. ` +
      `Give more, or the policy dropless for no limit.`,
  );
}

/** Rows that one expert may take: T = 10, K = 2, E = 4, factor 1.25 give megatron 7, tutel 6, switch 3. */
export function capacityOf(rule: CapacityRule, input: CapacityInput): number {
  checkCapacity(rule);
  const counts = { numTokens: 'number', topK: 'number', numExperts: 'number', fullest: 'number' } as const;
  requireFields('What the capacity is of', input, counts);
  const { factor } = rule;
  const { numTokens, topK, numExperts, fullest } = input;
  const tutel = (f: number): number => topK * Math.floor(f * Math.ceil(numTokens / numExperts));
  switch (rule.convention) {
    case 'megatron':
      return Math.ceil(((numTokens * topK) / numExperts) * factor);
    case 'switch':
      return Math.min(numTokens, Math.floor((numTokens * factor) / numExperts));
    case 'tutel':
      if (factor > 0) return tutel(factor);
      return factor === 0 ? fullest : Math.min(fullest, tutel(-factor));
  }
}

/** @throws ConfigError with the names that there are. */
export function requireName(what: string, given: string, names: readonly string[]): void {
  if (names.includes(given)) return;
  throw new ConfigError(
    `there is no ${what} ${quoted(given)}${didYouMean(given, names)}. There are: ${names.join(', ')}.`,
  );
}
