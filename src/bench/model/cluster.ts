/** What a cluster of the layout would see of a pass: its pipeline, where its rows go, and what each rank would hold. */
import { at, range } from '../../core/math.ts';
import { globalRank } from '../../layout/layout.ts';
import type { DeviceTraits } from '../../memory/device-traits.ts';
import type { EnginePlan } from '../../memory/engine-plan.ts';
import { bytesByPurpose, rankMemory } from '../../memory/lists.ts';
import { planStep, rankLoads, type Request } from '../../runtime/step/plan.ts';
import type { StepResult } from '../../runtime/step/step.ts';
import {
  slotsOf,
  virtualCluster,
  type RankTime,
  type StageSlot,
} from '../../runtime/step/virtual-cluster.ts';

/** Times count from the step's begin. */
export type PipelineSlot = Omit<StageSlot, 'step'>;

/**
 * A pass as it would go with every rank on a device of its own and links that cost nothing: the times of passes are
 * measured, their order is modelled.
 */
export interface PipelineTimes {
  readonly wallNs: number;
  readonly slots: readonly PipelineSlot[];
  /** By stage and rank; a stage without a micro-batch waits in a bubble. */
  readonly ranks: readonly RankTime[];
}

/** Undefined without timestamps. @param expertRows of a step that was given the same: experts are split by them. */
export function pipelineTimes(
  { spans }: Pick<StepResult, 'spans'>,
  expertRows: StepResult['expertRows'] = [],
): PipelineTimes | undefined {
  if (spans.length === 0) return undefined;
  const { wallNs, slices, ranks } = virtualCluster({ spans, expertRows });
  const slots = slotsOf({ slices });
  return {
    wallNs,
    slots: slots.map(({ stage, microBatch, beginNs, ns }) => ({ stage, microBatch, beginNs, ns })),
    ranks: [...ranks].sort((a, b) => a.stage - b.stage || a.rank - b.rank),
  };
}

/** By layer, rank of a stage (replica * ep + e) and expert: rows that the rank sends to the expert in one pass. */
export type ExpertLoad = readonly (readonly (readonly number[])[])[];

/**
 * From the choices of a pass. Every stage has the same ranks, and a token is the same rank's in all of them.
 * @param step of these requests, the first of their sequences, with its experts.
 */
export function expertLoad(
  { layout, sizes }: Pick<EnginePlan, 'layout' | 'sizes'>,
  requests: readonly Request[],
  { experts = [], microBatches }: Pick<StepResult, 'experts' | 'microBatches'>,
): ExpertLoad {
  const load = range(layout.model.numLayers).map(() =>
    range(sizes.numRanks).map(() => range(sizes.numExperts).map(() => 0)),
  );
  for (const batch of planStep(sizes, requests, () => 0, microBatches)) {
    rankLoads(layout, sizes, batch).forEach(({ group, share }, rank) => {
      const tokens = at(batch, group).sequences.flatMap(({ request, ids }) =>
        ids.map((_, token) => ({ request, token })),
      );
      for (const { request, token } of tokens.slice(share.first, share.first + share.count)) {
        load.forEach((byRank, layer) => {
          const chosen = at(at(experts, request), layer);
          const row = at(byRank, rank);
          for (const k of range(sizes.topK)) {
            const expert = at(chosen, token * sizes.topK + k);
            row[expert] = at(row, expert) + 1;
          }
        });
      }
    });
  }
  return load;
}

/** What a rank would hold on a device of its own: modelled, bytes. */
export interface RankBytes {
  readonly stage: number;
  /** Of the stage: replica * ep + e. */
  readonly rank: number;
  readonly weightsBytes: number;
  readonly kvCacheBytes: number;
  /** With what lies between layers and what collectives send and receive. */
  readonly workspaceBytes: number;
  readonly tablesBytes: number;
}

/** Of all ranks of the layout, stage by stage. */
export function rankBytes(plan: EnginePlan, traits: DeviceTraits): RankBytes[] {
  const { layout } = plan;
  return range(layout.spec.pp).flatMap((stage) =>
    range(layout.ranksPerStage).map((rank): RankBytes => {
      const bytes = bytesByPurpose(rankMemory(plan, traits, globalRank(layout, stage, rank)));
      const { weights = 0, 'kv-cache': kvCache = 0, tables = 0 } = bytes;
      const { staging = 0, communication = 0, workspace = 0 } = bytes;
      return {
        ...{ stage, rank, weightsBytes: weights, kvCacheBytes: kvCache },
        ...{ workspaceBytes: staging + communication + workspace, tablesBytes: tables },
      };
    }),
  );
}
