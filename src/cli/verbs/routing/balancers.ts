/** `moebius routing --balancers`: every balancer on one load, and how long each takes. */
import { type Fields, requireOptions } from '../../../core/given.ts';
import { range } from '../../../core/math.ts';
import { comparePlacements, type PlacementRow } from '../../../laboratory/placements.ts';
import { parseLayout } from '../../../layout/spec.ts';
import { countIds } from '../../../routing/trace/trace.ts';
import { requireInteger } from '../../options.ts';
import { platformHere } from '../../session.ts';
import { loadTrace, TRACE_FIELDS, type TraceOptions } from './load-trace.ts';

/** Options of `routingBalancers`, those of `moebius routing --balancers`. */
export interface RoutingBalancersOptions extends Omit<TraceOptions, 'trace'> {
  /** `uniform` and `zipf:s` stand for the load itself, (e + 1)^-s of expert e; of all others rows are counted. */
  readonly trace?: string;
  /** Its ep ranks hold the experts; at most 16 when absent. */
  readonly layout?: string;
  /** Of all ranks; one more a rank than its experts when absent. */
  readonly slots?: number;
  readonly groups?: number;
  readonly nodes?: number;
}

/** The balancers that can place so many experts, beside each other. */
export interface RoutingBalancers {
  readonly load: string;
  /** `weights` of a law, or `counts` of rows. */
  readonly source: 'weights' | 'counts';
  readonly experts: number;
  readonly ranks: number;
  readonly rows: readonly PlacementRow[];
}

const OPTIONS: Fields = {
  ...{ ...TRACE_FIELDS, trace: 'string?' },
  ...{ layout: 'string?', slots: 'number?', groups: 'number?', nodes: 'number?' },
};
export { OPTIONS as BALANCERS_OPTIONS };

/**
 * Places experts by every balancer on one load, and says how uneven each leaves it and how long it takes.
 * @throws ConfigError for a trace or a size that cannot be.
 */
export async function routingBalancers(options: RoutingBalancersOptions = {}): Promise<RoutingBalancers> {
  requireOptions('routingBalancers', options, OPTIONS);
  const { trace = 'zipf:1.2', slots, groups, nodes } = options;
  const most = { slots: 65_536, groups: 4096, nodes: 4096 } as const;
  for (const name of ['slots', 'groups', 'nodes'] as const) {
    const value = options[name];
    if (value !== undefined) requireInteger(name, value, 1, most[name]);
  }
  const loaded = await loadTrace({ ...options, trace });
  const { generator, choices } = loaded;
  const { numExperts, topK } = choices;
  const isLaw = generator?.name === 'uniform' || generator?.name === 'zipf';
  const load = isLaw
    ? range(numExperts).map((e) => (e + 1) ** -generator.value)
    : countIds(choices.ids_TK, numExperts, topK);
  const ranks = options.layout === undefined ? Math.min(16, numExperts) : parseLayout(options.layout).ep;
  const now = (): number => platformHere().now();
  return {
    ...{ load: loaded.name, source: isLaw ? 'weights' : 'counts', experts: numExperts, ranks },
    rows: comparePlacements(load, { ranks, slots, groups, nodes }, now),
  };
}
