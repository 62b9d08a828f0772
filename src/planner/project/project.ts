/** What a layout would deliver: memory, then requests through its instances. */
import { ConfigError } from '../../core/errors.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import type { Skew } from '../../hardware/queries.ts';
import type { ModelFacts } from '../models/facts.ts';
import { cacheBytes, rankLedger, requireFit, type RankLedger } from '../serving/ledger.ts';
import type { Framework } from '../serving/framework.ts';
import {
  checkPlacement,
  instanceGpus,
  nodesOf,
  stageGpus,
  worldGpus,
  type Placement,
} from '../serving/placement.ts';
import type { Precision } from '../serving/precision.ts';
import { stepCost, type StepSetting } from '../serving/step-cost.ts';
import { simulate, type SimulationResult } from '../simulate/simulate.ts';
import { summarise, type ServingSummary } from '../simulate/summary.ts';
import { meanLengths, type Workload } from '../simulate/workload.ts';

export interface ProjectSetting {
  readonly model: ModelFacts;
  readonly hardware: Profile;
  readonly placement: Placement;
  readonly precision: Precision;
  readonly framework: Framework;
  readonly routing: Skew;
  readonly workload: Workload;
  /** prefill: prompts and no more; decode: prompts have been read elsewhere. */
  readonly phase?: 'prefill' | 'decode' | 'both';
  /** Two half batches hide communication; by default where rows cross nodes. */
  readonly overlap?: boolean;
  readonly balance?: 'round-robin' | 'least-loaded';
  readonly keepStretches?: number;
  readonly us?: NonNullable<StepSetting['us']>;
}

export interface Projection {
  readonly gpus: number;
  readonly ledger: RankLedger;
  /** Of the fullest rank with the sequences that are there at once. */
  readonly memoryBytes: number;
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
  const { model, placement, framework, workload, phase = 'both' } = setting;
  checkPlacement(placement, model);
  const ledger = rankLedger(setting);
  const { input, output } = meanLengths(workload);
  requireFit(ledger, setting, Math.min(input + output, model.maxPositions * 16));
  const crossing = placement.attnDp > 1 && placement.ep > 1 && nodesOf(stageGpus(placement), placement) > 1;
  const cost = stepCost({ ...setting, overlap: setting.overlap ?? crossing });
  const gpus = worldGpus(placement);
  const simulation = simulate(
    {
      pool: {
        setting: {
          cost,
          framework,
          stages: placement.pp,
          groups: placement.attnDp,
          capacity: ledger.capacity,
          maxSequences: MOST_SEQUENCES,
          promptsOnly: phase === 'prefill',
        },
        instances: placement.replicas,
        gpus: instanceGpus(placement),
      },
      requestUs: framework.requestMs * 1e3,
      ...(setting.balance && { routing: setting.balance }),
      prefilled: phase === 'decode',
      ...(setting.keepStretches !== undefined && { keepStretches: setting.keepStretches }),
    },
    workload,
  );
  const summary = summarise(simulation);
  const atOnce = ceilDiv(concurrencyOf(workload, simulation), placement.replicas * placement.attnDp);
  const kept = Math.min(ledger.forCache, cacheBytes(ledger, atOnce, input + output));
  const memoryBytes = ledger.weights + ledger.staging + ledger.communication + kept;
  if (!(summary.ttftMs.mean >= 0)) throw new ConfigError('The projection has no first token.');
  return { gpus, ledger, memoryBytes, summary, simulation };
}

/** Requests inside at once, on average: given, or by Little's law. */
function concurrencyOf(workload: Workload, { requests, horizonUs }: SimulationResult): number {
  if (workload.kind === 'closed') return Math.min(workload.concurrency, workload.requests.length);
  let inside = 0;
  for (const { arrivalUs, lastUs } of requests) inside += lastUs - arrivalUs;
  return horizonUs > 0 ? Math.max(1, Math.round(inside / horizonUs)) : 1;
}
