/** What a rank of a cluster would hold, stage by stage, told to a person. */
import { range } from '../core/math.ts';
import { formatBytes } from '../core/units.ts';
import type { Layout } from '../layout/layout.ts';
import { alignColumns, formatRun, plural, wrap } from '../layout/text.ts';
import { isPlain } from '../routing/placement.ts';
import { isQuantised, requireBlocks, type WeightDtype } from '../tensor/quantised.ts';
import { GPU_TRAITS } from './device-traits.ts';
import { type EngineSizing, planEngine } from './engine-plan.ts';
import { bytesByPurpose, rankMemory } from './lists.ts';
import type { CacheDtype } from './rank-sizes.ts';

/** Bytes on a GPU of the rank's own. */
export interface StageMemory {
  readonly stage: number;
  /** The fullest of the stage. */
  readonly rank: number;
  readonly weights: number;
  readonly kvCache: number;
  /**
   * Rows between layers and stages: one buffer, as the engine has it, whose stages take turns. Where they overlap, as `project`
   * has it, there are two.
   */
  readonly staging: number;
  /** What collectives send and receive. */
  readonly communication: number;
  /** Scratch of one rank. */
  readonly workspace: number;
  readonly tables: number;
  readonly total: number;
}

export interface MemoryExplanation {
  readonly maxSequences: number;
  readonly maxLength: number;
  readonly maxStepTokens: number;
  readonly weightDtype: WeightDtype;
  readonly cacheDtype: CacheDtype;
  readonly stages: readonly StageMemory[];
}

/** One sequence for each attention group, and lengths that most serve. */
const DEFAULTS = { maxLength: 2048, maxStepTokens: 512 };

/** @throws ConfigError for limits or dtypes that do not fit the model, or experts of a rank that are too many for one stack. */
export function explainMemory(layout: Layout, given: Partial<EngineSizing> = {}): MemoryExplanation {
  const { model, spec, attnDp } = layout;
  const { weightDtype = 'f32', cacheDtype = 'f32', maxSequences = attnDp } = given;
  const maxLength = given.maxLength ?? Math.min(DEFAULTS.maxLength, model.maxPositions);
  const maxStepTokens = given.maxStepTokens ?? Math.min(DEFAULTS.maxStepTokens, maxLength);
  const limits = { maxSequences, maxLength, maxStepTokens, weightDtype, cacheDtype };
  const plan = planEngine(layout, { ...given, ...limits }, GPU_TRAITS);
  if (isQuantised(weightDtype)) {
    requireBlocks(weightDtype, 'A matrix that reads the model width', model.modelDim);
    requireBlocks(weightDtype, 'An expert', model.expertDim);
    requireBlocks(weightDtype, "A rank's output projection", layout.headsOf(0).count * model.headDim);
  }
  const stages = range(spec.pp).map((stage) => {
    const members = range(isPlain(layout.placement) ? spec.tp : spec.ep).map((ep): StageMemory => {
      const rank = layout.rankAt({ replica: 0, stage, ep });
      const bytes = bytesByPurpose(rankMemory(plan, GPU_TRAITS, rank));
      const { weights = 0, 'kv-cache': kvCache = 0, staging = 0, communication = 0 } = bytes;
      const { workspace = 0, tables = 0 } = bytes;
      const total = weights + kvCache + staging + communication + workspace + tables;
      return { stage, rank, weights, kvCache, staging, communication, workspace, tables, total };
    });
    return members.reduce((most, other) => (other.total > most.total ? other : most));
  });
  return { ...limits, stages };
}

const PURPOSES = [
  ['weights', 'weights'],
  ['KV cache', 'kvCache'],
  ['staging', 'staging'],
  ['collectives', 'communication'],
  ['workspace', 'workspace'],
  ['tables', 'tables'],
  ['total', 'total'],
] as const;

export function renderMemory(memory: MemoryExplanation): string {
  const { maxSequences, maxLength, maxStepTokens, weightDtype, cacheDtype, stages } = memory;
  const cellsOf = (own: StageMemory): string[] => PURPOSES.map(([, field]) => formatBytes(own[field]));
  const runs: { first: number; count: number; cells: string[] }[] = [];
  for (const [stage, own] of stages.entries()) {
    const cells = cellsOf(own);
    const previous = runs.at(-1);
    if (previous?.cells.join() === cells.join()) previous.count++;
    else runs.push({ first: stage, count: 1, cells });
  }
  const assumed =
    `For ${plural(maxSequences, 'sequence')} of ${plural(maxLength, 'position')} over all replicas, ` +
    `${plural(maxStepTokens, 'new token')} of one at once; weights in ${weightDtype}, cache in ${cacheDtype}.`;
  return [
    'Memory of the fullest rank, on a GPU of its own',
    ...alignColumns([
      ['stage', ...PURPOSES.map(([name]) => name)],
      ...runs.map((run) => [formatRun(run), ...run.cells]),
    ]),
    ...wrap(assumed, '  ', '  '),
  ].join('\n');
}
