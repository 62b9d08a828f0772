/** How tokens choose experts, as users and tables write it. */
import { ConfigError } from '../core/errors.ts';
import { quoted } from '../core/text/quoted.ts';
import type { Skew } from './queries.ts';

/** A law, and whether experts are placed by their load (DeepSeek's EPLB), which leaves ranks about even. */
export interface Routing {
  readonly skew: Skew;
  readonly placed: boolean;
}

const LAW = /^(zipf|pl|power[-_ ]?law)[-_:= ]?(\d*\.?\d+)$/;

/**
 * 'uniform' or 'random', 'balanced', 'zipf:1.2', 'pl1.2', 'power_law_1.2', each with 'eplb' behind it or not.
 * @param otherwise what '' means.
 * @throws ConfigError for another text, or an exponent outside [0, 4].
 */
export function routingOf(text: string, otherwise: Skew['kind'] & ('uniform' | 'balanced')): Routing {
  const whole = text.trim().toLowerCase();
  const plain = whole.replace(/(^|[-_ ]?(with)?[-_+ ]?)eplb$/, '');
  const placed = plain !== whole;
  if (plain === '') return { skew: { kind: placed ? 'balanced' : otherwise }, placed };
  if (/^(uniform|random)$/.test(plain)) return { skew: { kind: 'uniform' }, placed };
  if (/^(balanced|even)$/.test(plain)) return { skew: { kind: 'balanced' }, placed };
  const [, kind, exponent = ''] = LAW.exec(plain) ?? [];
  const alpha = Number(exponent);
  if (kind === undefined || !(alpha >= 0 && alpha <= 4)) {
    throw new ConfigError(
      `routing ${quoted(text)} is none of balanced, uniform, zipf:<exponent> and power-law:<exponent>, exponents from 0 to 4.`,
    );
  }
  return { skew: { kind: kind === 'zipf' ? 'zipf' : 'power-law', alpha }, placed };
}
