/** Queries as callers give them: sizes that there can be, formats that there are. */
import { ConfigError } from '../core/errors.ts';
import { quoted } from '../core/text/quoted.ts';
import { dtypeNamed } from './dtypes.ts';
import { nodesOf } from './plain.ts';
import type { Profile } from './profiles/profile.ts';
import type { Query } from './queries.ts';

/** Sizes that must be positive; whole ones but for rows, which may be a mean. */
const SIZES = [
  ...[
    'm',
    'n',
    'k',
    'tokens',
    'hidden',
    'inter',
    'experts',
    'topk',
    'tp',
    'ep',
    'rows',
    'activeExperts',
    'slots',
  ],
  ...['batch', 'seq', 'kv', 'heads', 'kvHeads', 'headDim', 'bytes', 'ranks', 'nodes', 'sms'],
] as const;

/** More than any of these is a mistake, and would only lose digits. A guess. */
const MOST_SIZE = 1e15;

/** Of one layer; the largest published one has 512. A guess. */
const MOST_EXPERTS = 8192;

/** @throws ConfigError for a size that is not positive and finite, or a layout that does not divide. */
export function requireQuery<Q extends Query>(query: Q, hardware: Profile): Q {
  for (const name of SIZES) {
    const value: unknown = Reflect.get(query, name);
    if (value === undefined) continue;
    if (typeof value === 'number' && value > 0 && value <= MOST_SIZE) continue;
    throw new ConfigError(`${query.op}: ${name} is ${quoted(value)}; it must be a positive number.`);
  }
  if ('dtype' in query && query.dtype !== undefined) dtypeNamed(query.dtype);
  if (query.op === 'moe') requireMoe(query);
  if (!('ranks' in query)) return query;
  const most = hardware.node.gpus;
  // Trays of one NVLink domain are no nodes: nothing between them crosses a network.
  const nodes = most > 8 ? Math.ceil(query.ranks / most) : nodesOf(query, hardware);
  if (nodes > query.ranks)
    throw new ConfigError(`${query.op}: ${query.ranks} ranks cannot lie on ${nodes} nodes.`);
  return { ...query, nodes };
}

function requireMoe(query: Extract<Query, { readonly op: 'moe' }>): void {
  const { experts, topk, ep = 1, tp = 1, inter, slots = experts } = query;
  if (Math.max(experts, slots) > MOST_EXPERTS)
    throw new ConfigError(
      `moe: ${Math.max(experts, slots)} experts are more than the ${MOST_EXPERTS} that a layer may have.`,
    );
  if (topk > experts) throw new ConfigError(`moe: topk ${topk} exceeds the ${experts} experts.`);
  if (slots < experts) throw new ConfigError(`moe: ${slots} slots do not hold the ${experts} experts.`);
  if (slots % ep !== 0)
    throw new ConfigError(`moe: ep ${ep} does not divide the ${slots} places of experts.`);
  if (inter % tp !== 0) throw new ConfigError(`moe: tp ${tp} does not divide inter ${inter}.`);
}
