/** What a user asks of an engine's routing: where the experts lie, a capacity with its policy, a bias that follows the load. */
import type { Command } from 'commander';
import { ConfigError } from '../../../core/errors.ts';
import { chosen, type Fields } from '../../../core/given.ts';
import { printable } from '../../../core/text/printable.ts';
import { balanced } from '../../../laboratory/placements.ts';
import type { LayoutSpec } from '../../../layout/spec.ts';
import { checkRule, type EngineSizing } from '../../../memory/engine-plan.ts';
import type { MoeConfig } from '../../../model/config.ts';
import { MOST_JSON_BYTES, parseStrictJson } from '../../../model/safetensors/strict-json.ts';
import { checkBiasRate } from '../../../routing/balance/bias.ts';
import { weightedSplit } from '../../../routing/balance/split.ts';
import { type ExpertPlacement, placementOf } from '../../../routing/placement.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../../routing/policies.ts';
import { countIds } from '../../../routing/trace/trace.ts';
import type { RoutingAccount } from '../../../runtime/engine.ts';
import { integer, moreThan } from '../../options.ts';
import { platformHere } from '../../session.ts';
import { parseCapacity } from './capacity-option.ts';
import { loadTrace } from './load-trace.ts';

/** Balancers that place experts by their load. */
export const PLACERS = ['eplb', 'placer', 'placer-weighted'] as const;

/** Options of the verbs that place experts. */
export interface PlacementOptions {
  /** `eplb`, `placer`, `placer-weighted`, or a JSON file with the experts of every rank of an EP group. */
  readonly placement?: string;
  /** Slots of all ranks of an EP group, for replicas; one more a rank than its experts when absent. */
  readonly expertSlots?: number;
  /** The load that is balanced: a trace's file, or one made up, as `zipf:1.2`; even when absent. */
  readonly placementTrace?: string;
}

/** Options of the verbs that make an engine. */
export interface EngineRoutingOptions extends PlacementOptions {
  /** `1.25`, or convention:factor:scope. */
  readonly capacity?: string;
  /** What becomes of rows beyond it; by position when absent. */
  readonly policy?: string;
  /** By how much the router's bias follows the load of each step; no bias when absent. */
  readonly biasRate?: number;
}

export const PLACEMENT_FIELDS: Fields = {
  ...{ placement: 'string?', expertSlots: 'number?', placementTrace: 'string?' },
};
export const ENGINE_ROUTING_FIELDS: Fields = {
  ...PLACEMENT_FIELDS,
  ...{ capacity: 'string?', policy: 'string?', biasRate: 'number?' },
};

/** What was asked of an engine's routing, as it was given. */
export type AskedRouting = Readonly<Record<string, string | number>>;

/** Those options that were given; undefined where none was. */
export function askedRouting(options: EngineRoutingOptions): AskedRouting | undefined {
  const given = chosen<object>(options, ENGINE_ROUTING_FIELDS) as AskedRouting;
  return Object.keys(given).length === 0 ? undefined : given;
}

export type Placed = Pick<EngineSizing, 'placement' | 'shares'>;
export type RoutedSizing = Placed & Pick<EngineSizing, 'capacity' | 'balancer'>;

/** @throws ConfigError for a file, a trace or a number of slots that cannot be. */
export async function placedBy(
  { placement: given, expertSlots, placementTrace }: PlacementOptions,
  { ep: ranks }: LayoutSpec,
  { numExperts, topK }: MoeConfig,
): Promise<Placed> {
  const idle = expertSlots !== undefined ? '--expert-slots' : placementTrace && '--placement-trace';
  const balancer = PLACERS.find((name) => name === given);
  if (balancer === undefined) {
    if (idle !== undefined) {
      throw new ConfigError(
        `${idle} would do nothing without --placement ${PLACERS.join(' or ')}. Leave it out.`,
      );
    }
    return given === undefined ? {} : { placement: await readPlacement(given, numExperts) };
  }
  const trace = placementTrace ?? 'uniform';
  const { choices } = await loadTrace({ trace, experts: numExperts, topk: topK, seed: 1 });
  const load = countIds(choices.ids_TK, numExperts, topK);
  const { placement } = balanced(balancer, load, { ranks, slots: expertSlots });
  if (balancer !== 'placer-weighted') return { placement };
  return { placement, shares: weightedSplit(load, placement).shares };
}

/** @throws ConfigError for what are no lists of experts. */
export async function readPlacement(path: string, numExperts: number): Promise<ExpertPlacement> {
  const bytes = await platformHere().readFile(path, MOST_JSON_BYTES);
  const read = parseStrictJson(bytes, path, { deepest: 16 });
  const lists = Array.isArray(read) ? (read as unknown) : (read as { placement?: unknown } | null)?.placement;
  const isList = (value: unknown): value is readonly number[] =>
    Array.isArray(value) && value.every((id) => Number.isInteger(id));
  if (!Array.isArray(lists) || !lists.every(isList)) {
    throw new ConfigError(
      `${printable(path)} is no placement: it must be a list with the experts of every rank, as [[0, 1], [1, 2]], or have one ` +
        `as "placement".`,
    );
  }
  return placementOf(lists, numExperts);
}

/** @throws ConfigError for a capacity, a policy or a placement that an engine cannot have. */
export async function engineRouting(
  options: EngineRoutingOptions,
  spec: LayoutSpec,
  config: MoeConfig,
): Promise<RoutedSizing> {
  const { capacity, policy = capacity === undefined ? undefined : 'drop-position', biasRate } = options;
  if (policy === 'dropless' && capacity !== undefined) {
    throw new ConfigError('--capacity would do nothing: dropless has none. Leave one of them out.');
  }
  const rule = capacity === undefined ? undefined : parseCapacity(capacity);
  const admission = policy === undefined ? undefined : { policy: policy as OverflowPolicy, rule };
  if (admission !== undefined) checkRule(admission);
  if (biasRate !== undefined) checkBiasRate(biasRate);
  return {
    ...(await placedBy(options, spec, config)),
    ...(admission !== undefined && { capacity: admission }),
    ...(biasRate !== undefined && { balancer: { rate: biasRate } }),
  };
}

/** The flags of all of them, for the verbs that take some. */
export const FLAGS = {
  placement: [
    '--placement <name>',
    `where experts lie: ${PLACERS.join(', ')}, or a JSON file of ranks' experts`,
  ],
  expertSlots: ['--expert-slots <n>', 'of all ranks of an EP group, for replicas', integer(1, 65_536)],
  placementTrace: [
    '--placement-trace <name>',
    'the load to balance: a file, or as zipf:1.2; even when absent',
  ],
  capacity: ['--capacity <rule>', 'of an expert, as 1.25, or convention:factor:scope; none when absent'],
  policy: ['--policy <name>', `what becomes of rows beyond it: ${OVERFLOW_POLICIES.join(', ')}`],
  biasRate: ['--bias-rate <x>', "the router's bias follows the load of each step by so much", moreThan(0)],
} as const;

export function addPlacementOptions(command: Command): Command {
  return command
    .option(...FLAGS.placement)
    .option(...FLAGS.expertSlots)
    .option(...FLAGS.placementTrace);
}

export function addEngineRouting(command: Command): Command {
  return addPlacementOptions(command)
    .option(...FLAGS.capacity)
    .option(...FLAGS.policy)
    .option(...FLAGS.biasRate);
}

/** One line about what was dropped and moved. */
export function accountLine({ rows, mass }: RoutingAccount): string {
  const of = (part: number, whole: number): string =>
    `${whole === 0 ? 0 : ((100 * part) / whole).toFixed(2)} %`;
  return (
    `routing: ${rows.dropped} of ${rows.offered} rows dropped (${of(rows.dropped, rows.offered)}), ${rows.moved} moved, ` +
    `${of(mass.lost, mass.offered)} of the router's mass lost (measured)`
  );
}
