/** How tokens choose experts in a deployment: uniform (or random), balanced (or eplb), zipf:1.2, power-law:1.2. */
import type { Skew } from '../../hardware/queries.ts';
import { routingOf } from '../../hardware/routing-names.ts';

/** @throws ConfigError for another text, or an exponent outside [0, 4]. */
export function routingNamed(text: string): Skew {
  const { skew, placed } = routingOf(text, 'uniform');
  // Experts placed by their load leave ranks about even.
  return placed ? { kind: 'balanced' } : skew;
}
