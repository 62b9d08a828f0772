/** `moebius routing`: what capacity, overflow policies and balancers cost under a routing, made up or recorded. */
import { ConfigError } from '../../../core/errors.ts';
import { requireOptions, type Fields } from '../../../core/given.ts';
import {
  balanced,
  type Balancer,
  BALANCERS,
  comparePlacements,
  evenOn,
  type PlacementRow,
} from '../../../laboratory/placements.ts';
import { type LayerTime, measureLayer, tileRowsOn } from '../../../laboratory/layer-time.ts';
import { comparePolicies, type PolicyOutcome } from '../../../laboratory/policies.ts';
import { BIAS_DEFAULTS } from '../../../laboratory/train-bias.ts';
import { parseLayout } from '../../../layout/spec.ts';
import type { Gpu } from '../../../gpu/gpu.ts';
import { type BenchClock, chooseClock } from '../../../measure/stopwatch.ts';
import type { AdapterFacts } from '../../../platform/platform.ts';
import { checkBiasRate } from '../../../routing/balance/bias.ts';
import { type CapacityRule, requireName } from '../../../routing/capacity.ts';
import { tokensOf } from '../../../routing/choices.ts';
import { loadOfRanks, maxOverMean, noiseFloor, type NoiseFloor } from '../../../routing/load.ts';
import { contiguousPlacement, type ExpertPlacement, expertsOfRanks } from '../../../routing/placement.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../../routing/policies.ts';
import { countIds } from '../../../routing/trace/trace.ts';
import { dealt, type ReplayFacts } from '../../../routing/trace/replay.ts';
import { requireInteger } from '../../options.ts';
import { withGpu } from '../../session.ts';
import { biased, type BiasReport } from './bias.ts';
import { DEFAULT_CAPACITY, parseCapacity } from './capacity-option.ts';
import { readPlacement } from './engine-options.ts';
import { type LoadedTrace, loadTrace, TRACE_FIELDS, TRACE_SEED, type TraceOptions } from './load-trace.ts';

/** Options of `routing`, those of `moebius routing`. */
export interface RoutingOptions extends TraceOptions {
  readonly adapter?: string;
  /** Its ep ranks hold the experts, and send the tokens. As many as experts, at most 16, when absent. */
  readonly layout?: string;
  /** All when absent. */
  readonly policies?: readonly string[];
  /** 'megatron:1.25:rank': convention, factor, scope. */
  readonly capacity?: string;
  readonly balancer?: string;
  /** A JSON file with the experts of every rank, in place of a balancer's. */
  readonly placement?: string;
  /** Of the balancer `bias`: how many steps it has, 200 when absent, and by how much a bias changes in each. */
  readonly steps?: number;
  readonly biasRate?: number;
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
  readonly bias?: BiasReport;
  readonly tileRows: { readonly value: number; readonly source: 'adapter' | 'assumed' };
  readonly policies: readonly (PolicyOutcome & { readonly time?: LayerTime })[];
  /** Of a micro-batch with all rows, as the balancer found it and as it left it; only where there is one. */
  readonly timeBefore?: LayerTime;
  readonly timeAfter?: LayerTime;
  readonly widths: { readonly width: number; readonly expertWidth: number };
  readonly adapter?: AdapterFacts;
  readonly clock?: BenchClock;
}

const OPTIONS: Fields = {
  ...TRACE_FIELDS,
  ...{ adapter: 'string?', layout: 'string?', policies: 'list?' },
  ...{ capacity: 'string?', balancer: 'string?', slots: 'number?', groups: 'number?', nodes: 'number?' },
  ...{ microBatches: 'number?', width: 'number?', expertWidth: 'number?', time: 'flag?' },
  ...{ placement: 'string?', steps: 'number?', biasRate: 'number?' },
};
export { OPTIONS as ROUTING_OPTIONS };

/** Guesses: what a software adapter takes in some milliseconds. */
export const DEFAULT_WIDTHS = { width: 256, expertWidth: 256 };
export const DEFAULT_MICRO_BATCHES = 4;
/** A guess where no adapter was asked. */
const ASSUMED_TILE_ROWS = 64;
const MOST_RANKS = 4096;
/** Of the bias controller. A guess. */
const MOST_STEPS = 10_000;

/**
 * Runs one layer's routing through overflow policies and a balancer, and measures the routed layer under each load.
 * @throws ConfigError for a trace, name or size that cannot be.
 */
export async function routing(options: RoutingOptions): Promise<RoutingReport> {
  requireOptions('routing', options, OPTIONS);
  const plan = checked(options);
  const loaded = await loadTrace(options);
  const given =
    options.placement === undefined
      ? undefined
      : await readPlacement(options.placement, loaded.choices.numExperts);
  const start = { options, plan, loaded, given };
  return plan.time ? withGpu(options, (gpu) => experiment(start, gpu)) : experiment(start, undefined);
}

interface Start {
  readonly options: RoutingOptions;
  readonly plan: Plan;
  readonly loaded: LoadedTrace;
  readonly given: ExpertPlacement | undefined;
}

async function experiment(
  { options, plan, loaded, given }: Start,
  gpu: Gpu | undefined,
): Promise<RoutingReport> {
  const { numExperts, topK } = loaded.choices;
  const numRanks = ranksOf(options, given, numExperts);
  const { seed, steps, biasRate: rate, width } = plan;
  const bias = plan.balancer === 'bias' ? await biased(gpu, loaded, { seed, steps, rate, width }) : undefined;
  const choices = bias?.choices ?? loaded.choices;
  const load = countIds(choices.ids_TK, numExperts, topK);
  const sizes = { ranks: numRanks, slots: options.slots, groups: options.groups, nodes: options.nodes };
  const balance = given === undefined ? balanced(plan.balancer, load, sizes) : evenOn(given, load);
  const contiguous = contiguousPlacement(numExperts, numRanks);
  const before = countIds(loaded.choices.ids_TK, numExperts, topK);
  const numTokens = tokensOf(choices);
  const microBatches = dealt(choices, plan.microBatches, numRanks);
  const widths = { modelDim: plan.width, expertDim: plan.expertWidth };
  const { placement, deal } = balance;
  const compare = (policies: readonly OverflowPolicy[], tileRows: number): PolicyOutcome[] =>
    comparePolicies(policies, {
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
  if (gpu === undefined) {
    return {
      ...found,
      tileRows: { value: ASSUMED_TILE_ROWS, source: 'assumed' },
      policies: compare(plan.policies, ASSUMED_TILE_ROWS),
    };
  }
  const clock = await chooseClock(gpu);
  const rows = Math.ceil((numTokens * topK) / plan.microBatches);
  const tileRows = await tileRowsOn(gpu, placement.numSlots, rows, widths);
  const timeOf = (on: ExpertPlacement, count_P: readonly number[]): Promise<LayerTime> =>
    measureLayer(gpu, clock, on, count_P, widths);
  const last = dealt(loaded.choices, plan.microBatches, 1).at(-1)?.[0];
  const isBalanced = plan.balancer !== 'none' || given !== undefined;
  const timeBefore =
    isBalanced && last !== undefined
      ? await timeOf(contiguous, countIds(last.ids_TK, numExperts, topK))
      : undefined;
  const policies: RoutingReport['policies'][number][] = [];
  for (const outcome of compare(plan.policies, tileRows)) {
    policies.push({ ...outcome, time: await timeOf(placement, outcome.lastCount) });
  }
  const kept = policies.find(({ policy }) => policy === 'dropless')?.time;
  const [dropless] = compare(['dropless'], tileRows);
  const timeAfter = timeBefore && (kept ?? (dropless && (await timeOf(placement, dropless.lastCount))));
  return {
    ...found,
    ...{ tileRows: { value: tileRows, source: 'adapter' as const }, policies, adapter: gpu.facts, clock },
    ...(timeBefore && timeAfter && { timeBefore, timeAfter }),
  };
}

/** @throws ConfigError for more ranks than are compared here, or others than a placement has. */
function ranksOf({ layout }: RoutingOptions, given: ExpertPlacement | undefined, numExperts: number): number {
  const asked = layout === undefined ? undefined : parseLayout(layout).ep;
  const ranks = asked ?? given?.numRanks ?? Math.min(16, numExperts);
  if (ranks > MOST_RANKS) {
    throw new ConfigError(
      `ep=${ranks} are more ranks than the ${MOST_RANKS} that are compared here. Take fewer.`,
    );
  }
  if (given !== undefined && given.numRanks !== ranks) {
    throw new ConfigError(
      `the placement is of ${given.numRanks} ranks, and the layout has ep=${ranks}. They must be as many.`,
    );
  }
  return ranks;
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
  readonly steps: number;
  readonly biasRate: number | undefined;
}

function checked(options: RoutingOptions): Plan {
  const {
    seed = TRACE_SEED,
    policies = OVERFLOW_POLICIES,
    balancer = 'none',
    microBatches = DEFAULT_MICRO_BATCHES,
  } = options;
  const { width = DEFAULT_WIDTHS.width, expertWidth = DEFAULT_WIDTHS.expertWidth, time = true } = options;
  policies.forEach((policy) => requireName('overflow policy', policy, OVERFLOW_POLICIES));
  if (policies.length === 0) throw new ConfigError('no policy is named; leave --policy out for all of them.');
  requireName('balancer', balancer, BALANCERS);
  requireInteger('micro-batches', microBatches, 1, 1024);
  requireInteger('width', width, 4, 65_536);
  requireInteger('expert width', expertWidth, 4, 65_536);
  for (const [name, value, most] of [
    ['slots', options.slots, 65_536],
    ['groups', options.groups, 4096],
    ['nodes', options.nodes, 4096],
  ] as const) {
    if (value !== undefined) requireInteger(name, value, 1, most);
  }
  if (options.steps !== undefined) requireInteger('steps', options.steps, 1, MOST_STEPS);
  if (options.biasRate !== undefined) checkBiasRate(options.biasRate);
  if (balancer !== 'bias' && (options.steps ?? options.biasRate) !== undefined) {
    throw new ConfigError('--steps and --bias-rate would do nothing: they are of the balancer bias.');
  }
  if (options.placement !== undefined && (balancer !== 'none' || options.slots !== undefined)) {
    throw new ConfigError('--placement says where the experts lie: leave --balancer and --slots out.');
  }
  return {
    policies: [...new Set(policies)] as OverflowPolicy[],
    capacity: parseCapacity(options.capacity ?? DEFAULT_CAPACITY),
    ...{ seed, balancer: balancer as Balancer, microBatches, width, expertWidth, time },
    ...{ steps: options.steps ?? BIAS_DEFAULTS.steps, biasRate: options.biasRate },
  };
}
