/** How tokens choose experts, as users write it: uniform (or random), balanced (or eplb), zipf:1.2. */
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Skew } from '../../hardware/queries.ts';

/** @throws ConfigError for another text, or an exponent outside [0, 4]. */
export function routingNamed(text: string): Skew {
  const plain = text.trim().toLowerCase();
  if (plain === '' || plain === 'uniform' || plain === 'random') return { kind: 'uniform' };
  // Experts placed by their load (DeepSeek's EPLB) leave ranks about even.
  if (plain === 'balanced' || plain === 'eplb') return { kind: 'balanced' };
  const [, kind = '', exponent = ''] = /^(zipf|power-?law|pl)[:=]?([0-9.]+)$/.exec(plain) ?? [];
  const alpha = Number(exponent);
  if (kind === '' || exponent === '' || !(alpha >= 0 && alpha <= 4)) {
    throw new ConfigError(
      `routing ${quoted(text)} is none of balanced, uniform, zipf:<exponent> and power-law:<exponent>, exponents from 0 to 4.`,
    );
  }
  return { kind: kind === 'zipf' ? 'zipf' : 'power-law', alpha };
}
