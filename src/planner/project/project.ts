/** What a layout would deliver: memory, then requests through its instances. */
import { ConfigError } from '../../core/errors.ts';
import { ceilDiv, sum } from '../../core/math.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';
import { cacheBytes, rankLedger, requireFit, type RankLedger } from '../serving/ledger.ts';
import { withRecipe, type Framework } from '../serving/framework.ts';
import {
  checkPlacement,
  instanceGpus,
  nodesOf,
  stageGpus,
  worldGpus,
  type Placement,
} from '../serving/placement.ts';
import type { Precision } from '../serving/precision.ts';
import type { Routing } from '../serving/routing.ts';
import { REACHED } from '../serving/kernels.ts';
import { stepCost, type StepLoad, type StepSetting } from '../serving/step-cost.ts';
import { partitionStages } from '../simulate/partition.ts';
import { simulate, type Pool, type SimulationResult } from '../simulate/simulate.ts';
import { summarise, type ServingSummary } from '../simulate/summary.ts';
import { meanLengths, type Workload } from '../simulate/workload.ts';

export interface ProjectSetting {
  readonly model: ModelFacts;
  readonly hardware: Profile;
  readonly placement: Placement;
  /** Instances that go on with what those of `placement` have read: prefill and decode apart. */
  readonly decode?: Placement;
  readonly precision: Precision;
  readonly framework: Framework;
  readonly routing: Routing;
  readonly workload: Workload;
  /** prefill: prompts and no more; decode: prompts have been read elsewhere. */
  readonly phase?: 'prefill' | 'decode' | 'both';
  /** Two half batches hide communication; by default where rows cross nodes. */
  readonly overlap?: boolean;
  readonly balance?: 'round-robin' | 'least-loaded';
  readonly keepStretches?: number;
  /** Sequences of an attention group at once; 1024 by default. */
  readonly maxSequences?: number;
  readonly us?: NonNullable<StepSetting['us']>;
  readonly fitted?: NonNullable<StepSetting['fitted']>;
}

export interface Projection {
  readonly gpus: number;
  readonly ledger: RankLedger;
  /** Of the instances that decode, where others read prompts. */
  readonly decodeLedger?: RankLedger;
  /** Layers of each stage of a pipeline, cut so that the dearest takes as little as can be. */
  readonly stages: readonly number[];
  /** Of the fullest rank with the sequences that are there at once. */
  readonly memoryBytes: number;
  /** That rank's, and of `memoryBytes` those of the pages of its cache. */
  readonly fullest: { readonly ledger: RankLedger; readonly cacheBytes: number };
  readonly summary: ServingSummary;
  readonly simulation: SimulationResult;
}

/** Sequences of an attention group at once; frameworks' defaults are near. */
const MOST_SEQUENCES = 1024;

/**
 * Memory and rates of a layout for a workload.
 * @throws ConfigError for a layout that does not fit the model, or a model that does not fit the memory.
 */
export function project(setting: ProjectSetting): Projection {
  const { framework, workload, phase = 'both', decode } = setting;
  if (decode !== undefined && phase !== 'both')
    throw new ConfigError('With prefill and decode apart both are projected: leave the phase out.');
  const { input, output } = meanLengths(workload);
  const first = poolOf(setting, setting.placement, phase === 'prefill' || decode !== undefined);
  const second = decode && poolOf(setting, decode, false);
  const simulation = simulate(
    {
      pool: first.pool,
      ...(second && { decodePool: second.pool, transferUs: transferOf(setting, first.ledger) }),
      requestUs: framework.requestMs * 1e3,
      requestSpread: workload.kind === 'closed' ? 1 : 0,
      ...(setting.balance && { routing: setting.balance }),
      prefilled: phase === 'decode',
      ...(setting.keepStretches !== undefined && { keepStretches: setting.keepStretches }),
    },
    workload,
  );
  const summary = summarise(simulation);
  const inside = concurrencyOf(workload, simulation);
  const usedBy = ({ ledger }: Deployed, { replicas, attnDp }: Placement): Used => {
    const kept = cacheBytes(ledger, ceilDiv(inside, replicas * attnDp), input + output);
    const cache = Math.min(ledger.forCache, kept);
    const bytes = ledger.weights + ledger.staging + ledger.communication + cache;
    return { ledger, cacheBytes: cache, bytes };
  };
  const used = [
    usedBy(first, setting.placement),
    ...(second && decode ? [usedBy(second, decode)] : []),
  ].reduce((most, other) => (other.bytes > most.bytes ? other : most));
  if (!(summary.ttftMs.mean >= 0)) throw new ConfigError('The projection has no first token.');
  return {
    gpus: worldGpus(setting.placement) + (decode === undefined ? 0 : worldGpus(decode)),
    ledger: first.ledger,
    ...(second && { decodeLedger: second.ledger }),
    stages: first.stages,
    memoryBytes: used.bytes,
    fullest: { ledger: used.ledger, cacheBytes: used.cacheBytes },
    summary,
    simulation,
  };
}

interface Used {
  readonly ledger: RankLedger;
  readonly cacheBytes: number;
  readonly bytes: number;
}

interface Deployed {
  readonly pool: Pool;
  readonly ledger: RankLedger;
  readonly stages: readonly number[];
}

/** @throws ConfigError for a layout that does not fit the model, or a model that does not fit the memory. */
function poolOf(setting: ProjectSetting, placement: Placement, promptsOnly: boolean): Deployed {
  const { model, framework, workload } = setting;
  checkPlacement(placement, model);
  const placed = { ...setting, placement };
  const ledger = rankLedger(placed);
  const { input, output } = meanLengths(workload);
  requireFit(ledger, placed, Math.min(input + output, model.maxPositions * 16));
  const crossing = placement.attnDp > 1 && placement.ep > 1 && nodesOf(stageGpus(placement), placement) > 1;
  const cost = stepCost({ ...placed, overlap: setting.overlap ?? crossing });
  const layers = cost.layers?.(typicalLoad(setting, placement)) ?? [];
  const cut = partitionStages(layers, placement.pp);
  const recipe = withRecipe(framework, {
    architecture: setting.hardware.architecture,
    groups: placement.attnDp,
    atOnce: workload.kind === 'closed' ? workload.concurrency / placement.replicas : undefined,
    longest: workload.requests.reduce((most, request) => Math.max(most, request.input), 1),
    plainMixture: mixtureLayers(model) > 0 && model.attention.kind !== 'latent',
  });
  return {
    pool: {
      setting: {
        cost,
        framework: recipe,
        stages: placement.pp,
        slowest: cut.most / sum(layers),
        groups: placement.attnDp,
        capacity: ledger.capacity,
        maxSequences: setting.maxSequences ?? MOST_SEQUENCES,
        promptsOnly,
      },
      instances: placement.replicas,
      gpus: instanceGpus(placement),
    },
    ledger,
    stages: cut.layers,
  };
}

/** A step of single tokens with all requests in its lanes; what stages are cut by. */
function typicalLoad({ workload }: ProjectSetting, { pp, attnDp, replicas }: Placement): StepLoad {
  const { input, output } = meanLengths(workload);
  const inside = workload.kind === 'closed' ? workload.concurrency : workload.requests.length;
  const decodes = Math.max(1, Math.round(inside / (replicas * attnDp * pp)));
  const context = input + output / 2;
  return { decodes, context, prompts: 0, pairs: 0, tokens: decodes * attnDp, sampled: decodes };
}

/** Keys and values go over the network, from each rank that has a part of them; at the share of a link that engines reach. */
function transferOf(
  { hardware }: ProjectSetting,
  { cachePerPosition }: RankLedger,
): (positions: number) => number {
  const usPerPosition = cachePerPosition / (hardware.between.gbPerS * 1e3 * REACHED.link);
  return (positions) => positions * usPerPosition;
}

/** Requests inside at once, on average: given, or by Little's law. */
function concurrencyOf(workload: Workload, { requests, horizonUs }: SimulationResult): number {
  if (workload.kind === 'closed') return Math.min(workload.concurrency, workload.requests.length);
  let inside = 0;
  for (const { arrivalUs, lastUs } of requests) inside += lastUs - arrivalUs;
  return horizonUs > 0 ? Math.max(1, Math.round(inside / horizonUs)) : 1;
}
