/** `moebius routing`: what capacity, overflow policies and balancers cost under a routing, made up or recorded. */
import { ConfigError } from '../../../core/errors.ts';
import { requireOptions, type Fields } from '../../../core/given.ts';
import { range } from '../../../core/math.ts';
import {
  balanced,
  type Balancer,
  BALANCERS,
  comparePlacements,
  type PlacementRow,
} from '../../../laboratory/placements.ts';
import { type LayerTime, measureLayer, tileRowsOn } from '../../../laboratory/layer-time.ts';
import { comparePolicies, type PolicyOutcome } from '../../../laboratory/policies.ts';
import { BIAS_DEFAULTS, trainBias } from '../../../laboratory/train-bias.ts';
import { parseLayout } from '../../../layout/spec.ts';
import { type BenchClock, chooseClock } from '../../../measure/stopwatch.ts';
import type { AdapterFacts } from '../../../platform/platform.ts';
import { type CapacityRule, requireName } from '../../../routing/capacity.ts';
import { type Choices, tokensOf } from '../../../routing/choices.ts';
import { loadOfRanks, maxOverMean, noiseFloor, type NoiseFloor } from '../../../routing/load.ts';
import { contiguousPlacement, expertsOfRanks } from '../../../routing/placement.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../../routing/policies.ts';
import { countIds } from '../../../routing/trace/trace.ts';
import { chooseTopK, logitsOf } from '../../../routing/trace/generate.ts';
import { dealt, type ReplayFacts } from '../../../routing/trace/replay.ts';
import { MOST_SEED, requireInteger } from '../../options.ts';
import { withGpu } from '../../session.ts';
import { DEFAULT_CAPACITY, parseCapacity } from './capacity-option.ts';
import { loadTrace } from './load-trace.ts';

/** Options of `routing`, those of `moebius routing`. */
export interface RoutingOptions {
  readonly adapter?: string;
  /** A generator, as 'zipf:1.2', or the path of a trace. */
  readonly trace: string;
  /** Of a generator; of a file they must be what it has. 16 and 2 when absent. */
  readonly experts?: number;
  readonly topk?: number;
  /** 4,096 when absent; a recorded trace may have fewer. */
  readonly tokens?: number;
  /** Of a file; the most uneven one when absent. */
  readonly layer?: number;
  /** Part of the name of a model or text, where a file has several. */
  readonly pick?: string;
  readonly seed?: number;
  /** Its ep ranks hold the experts, and send the tokens. As many as experts, at most 16, when absent. */
  readonly layout?: string;
  /** All when absent. */
  readonly policies?: readonly string[];
  /** 'megatron:1.25:rank': convention, factor, scope. */
  readonly capacity?: string;
  readonly balancer?: string;
  /** Of all ranks, for balancers that make replicas. */
  readonly slots?: number;
  /** For `eplb-hierarchical`. */
  readonly groups?: number;
  readonly nodes?: number;
  readonly microBatches?: number;
  /** Widths of the layer that is timed, and of its experts. */
  readonly width?: number;
  readonly expertWidth?: number;
  /** False measures no times, and needs no adapter. */
  readonly time?: boolean;
}

/** What `routing` found. Shares, counts and bytes are exact; errors of the layer are modelled; times are measured. */
export interface RoutingReport {
  readonly trace: ReplayFacts & { readonly name: string; readonly layer?: number };
  readonly tokens: number;
  readonly experts: number;
  readonly topk: number;
  readonly ranks: number;
  readonly slots: number;
  readonly microBatches: number;
  readonly capacity: CapacityRule;
  readonly balancer: Balancer;
  /** Experts of each rank's slots. */
  readonly placement: readonly (readonly number[])[];
  /** (max - mean) / mean that perfectly uniform routing shows over ranks with equal runs of experts, and over experts. */
  readonly floor: { readonly ranks: NoiseFloor; readonly experts: NoiseFloor };
  /** Max over mean of the ranks as the balancer found it and as it left it, all rows kept. */
  readonly balance: { readonly before: number; readonly after: number };
  readonly placements: readonly PlacementRow[];
  readonly bias?: {
    readonly steps: number;
    readonly firstBelow?: number;
    readonly maxOverMean: readonly number[];
  };
  readonly tileRows: { readonly value: number; readonly source: 'adapter' | 'assumed' };
  readonly policies: readonly (PolicyOutcome & { readonly time?: LayerTime })[];
  /** Of a micro-batch with all rows, before the balancer; only where there is one. */
  readonly timeBefore?: LayerTime;
  readonly widths: { readonly width: number; readonly expertWidth: number };
  readonly adapter?: AdapterFacts;
  readonly clock?: BenchClock;
}

const OPTIONS: Fields = {
  ...{ adapter: 'string?', trace: 'string', experts: 'number?', topk: 'number?', tokens: 'number?' },
  ...{ layer: 'number?', pick: 'string?', seed: 'number?', layout: 'string?', policies: 'list?' },
  ...{ capacity: 'string?', balancer: 'string?', slots: 'number?', groups: 'number?', nodes: 'number?' },
  ...{ microBatches: 'number?', width: 'number?', expertWidth: 'number?', time: 'flag?' },
};
export { OPTIONS as ROUTING_OPTIONS };

/** Guesses: what a software adapter takes in some milliseconds. */
export const DEFAULT_WIDTHS = { width: 256, expertWidth: 256 };
export const DEFAULT_MICRO_BATCHES = 4;
/** A guess where no adapter was asked. */
const ASSUMED_TILE_ROWS = 64;
/** Choices that an experiment may hold. A guess. */
const MOST_TOKENS = 2 ** 17;
const MOST_RANKS = 4096;

/**
 * Runs one layer's routing through overflow policies and a balancer, and measures the routed layer under each load.
 * @throws ConfigError for a trace, name or size that cannot be.
 */
export async function routing(options: RoutingOptions): Promise<RoutingReport> {
  requireOptions('routing', options, OPTIONS);
  const plan = checked(options);
  const loaded = await loadTrace({ ...options, seed: plan.seed });
  const { numExperts, topK } = loaded.choices;
  const numRanks = options.layout === undefined ? Math.min(16, numExperts) : parseLayout(options.layout).ep;
  if (numRanks > MOST_RANKS) {
    throw new ConfigError(
      `ep=${numRanks} are more ranks than the ${MOST_RANKS} that are compared here. Take fewer.`,
    );
  }
  const bias = plan.balancer === 'bias' ? biased(loaded, plan.seed) : undefined;
  const choices = bias?.choices ?? loaded.choices;
  const load = countIds(choices.ids_TK, numExperts, topK);
  const sizes = { ranks: numRanks, slots: options.slots, groups: options.groups, nodes: options.nodes };
  const balance = balanced(plan.balancer, load, sizes);
  const contiguous = contiguousPlacement(numExperts, numRanks);
  const before = countIds(loaded.choices.ids_TK, numExperts, topK);
  const numTokens = tokensOf(choices);
  const microBatches = dealt(choices, plan.microBatches, numRanks);
  const widths = { modelDim: plan.width, expertDim: plan.expertWidth };
  const { placement, deal } = balance;
  const compare = (tileRows: number): PolicyOutcome[] =>
    comparePolicies(plan.policies, {
      microBatches,
      placement,
      deal,
      capacity: plan.capacity,
      tileRows,
      rowBytes: 4 * plan.width,
    });
  const found = {
    trace: { name: loaded.name, ...(loaded.layer !== undefined && { layer: loaded.layer }), ...loaded.facts },
    ...{ tokens: numTokens, experts: numExperts, topk: topK, ranks: numRanks, slots: placement.numSlots },
    ...{ microBatches: plan.microBatches, capacity: plan.capacity, balancer: plan.balancer },
    placement: expertsOfRanks(placement),
    floor: {
      ranks: noiseFloor({ numTokens, topK, numExperts }, contiguous),
      experts: noiseFloor({ numTokens, topK, numExperts }),
    },
    balance: {
      before: maxOverMean(loadOfRanks(contiguous, before)),
      after: balance.maxOverMean,
    },
    placements: comparePlacements(load, sizes),
    ...(bias !== undefined && { bias: bias.told }),
    widths: { width: plan.width, expertWidth: plan.expertWidth },
  };
  if (!plan.time) {
    return {
      ...found,
      tileRows: { value: ASSUMED_TILE_ROWS, source: 'assumed' },
      policies: compare(ASSUMED_TILE_ROWS),
    };
  }
  return withGpu(options, async (gpu) => {
    const clock = await chooseClock(gpu);
    const rows = Math.ceil((numTokens * topK) / plan.microBatches);
    const tileRows = await tileRowsOn(gpu, placement.numSlots, rows, widths);
    const policies: RoutingReport['policies'][number][] = [];
    for (const outcome of compare(tileRows)) {
      policies.push({
        ...outcome,
        time: await measureLayer(gpu, clock, placement, outcome.lastCount, widths),
      });
    }
    const last = dealt(loaded.choices, plan.microBatches, 1).at(-1)?.[0];
    const timeBefore =
      plan.balancer === 'none' || last === undefined
        ? undefined
        : await measureLayer(gpu, clock, contiguous, countIds(last.ids_TK, numExperts, topK), widths);
    return {
      ...found,
      ...{ tileRows: { value: tileRows, source: 'adapter' as const }, policies, adapter: gpu.facts, clock },
      ...(timeBefore !== undefined && { timeBefore }),
    };
  });
}

interface Plan {
  readonly seed: number;
  readonly policies: readonly OverflowPolicy[];
  readonly capacity: CapacityRule;
  readonly balancer: Balancer;
  readonly microBatches: number;
  readonly width: number;
  readonly expertWidth: number;
  readonly time: boolean;
}

function checked(options: RoutingOptions): Plan {
  const {
    seed = 1,
    policies = OVERFLOW_POLICIES,
    balancer = 'none',
    microBatches = DEFAULT_MICRO_BATCHES,
  } = options;
  const { width = DEFAULT_WIDTHS.width, expertWidth = DEFAULT_WIDTHS.expertWidth, time = true } = options;
  policies.forEach((policy) => requireName('overflow policy', policy, OVERFLOW_POLICIES));
  if (policies.length === 0) throw new ConfigError('no policy is named; leave --policy out for all of them.');
  requireName('balancer', balancer, BALANCERS);
  requireInteger('seed', seed, 0, MOST_SEED);
  requireInteger('micro-batches', microBatches, 1, 1024);
  requireInteger('width', width, 4, 65_536);
  requireInteger('expert width', expertWidth, 4, 65_536);
  for (const [name, value, most] of [
    ['experts', options.experts, 4096],
    ['topk', options.topk, 4096],
    ['slots', options.slots, 65_536],
    ['groups', options.groups, 4096],
    ['nodes', options.nodes, 4096],
  ] as const) {
    if (value !== undefined) requireInteger(name, value, 1, most);
  }
  if (options.tokens !== undefined) requireInteger('tokens', options.tokens, 0, MOST_TOKENS);
  if (options.layer !== undefined) requireInteger('layer', options.layer, 0);
  return {
    policies: [...new Set(policies)] as OverflowPolicy[],
    capacity: parseCapacity(options.capacity ?? DEFAULT_CAPACITY),
    ...{ seed, balancer: balancer as Balancer, microBatches, width, expertWidth, time },
  };
}

/** The controller runs first, then the experiment's tokens are chosen with its biases, which stay. */
function biased(
  { generator, choices, name }: Awaited<ReturnType<typeof loadTrace>>,
  seed: number,
): { readonly choices: Choices; readonly told: NonNullable<RoutingReport['bias']> } {
  if (generator === undefined) {
    throw new ConfigError(
      `the balancer bias needs the router's scores of all experts, and ${name} has only what was chosen. Take a generator, as zipf:1.2.`,
    );
  }
  const { numExperts, topK } = choices;
  const trained = trainBias(generator, { numExperts, topK, seed });
  const next = logitsOf(generator, { numExperts, topK, seed });
  const rows = range(tokensOf(choices)).map(() => next());
  const options = { topK, score: 'sigmoid' as const, bias_E: trained.bias_E };
  const { firstBelow, maxOverMean: found } = trained;
  const steps = BIAS_DEFAULTS.steps;
  return {
    choices: rows.length === 0 ? choices : chooseTopK(rows, options),
    told: { steps, maxOverMean: found, ...(firstBelow !== undefined && { firstBelow }) },
  };
}
