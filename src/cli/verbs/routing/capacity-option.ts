/** A capacity as users type it. */
import { ConfigError } from '../../../core/errors.ts';
import {
  CAPACITY_CONVENTIONS,
  CAPACITY_SCOPES,
  type CapacityRule,
  checkCapacity,
  requireName,
} from '../../../routing/capacity.ts';

export const DEFAULT_CAPACITY = 'megatron:1.25:rank';

/** Reads 'megatron:1.25:rank'; convention and scope may be left out. @throws ConfigError */
export function parseCapacity(text: string): CapacityRule {
  const parts = text.split(':');
  const first = parts[0] ?? '';
  const named = Number.isNaN(Number(first)) || first.trim() === '' ? parts : ['megatron', ...parts];
  const [convention = '', factor = '1.25', scope = 'rank', ...more] = named;
  requireName('capacity convention', convention, CAPACITY_CONVENTIONS);
  requireName('capacity scope', scope, CAPACITY_SCOPES);
  const value = factor.trim() === '' ? NaN : Number(factor);
  if (more.length > 0 || Number.isNaN(value)) {
    throw new ConfigError(
      `the capacity is "${text.slice(0, 60)}"; it must be as ${DEFAULT_CAPACITY}: convention, factor, scope.`,
    );
  }
  const rule = { convention, factor: value, scope } as CapacityRule;
  checkCapacity(rule);
  return rule;
}
