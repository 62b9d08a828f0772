import { ConfigError, invariant } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { at, balancedRun, range } from '../core/math.ts';
import { requireConfig, type MoeConfig } from '../model/config.ts';
import type { ExpertOwners } from '../routing/dispatch-plan.ts';
import {
  contiguousPlacement,
  type ExpertPlacement,
  expertsOfRanks,
  requirePlacement,
} from '../routing/placement.ts';
import { checkViews, createMesh, type Mesh, type View } from './mesh.ts';
import { checkLayout } from './rules.ts';
import { worldSizeOf, type LayoutSpec } from './spec.ts';

/**
 * One set of ranks with two views (Megatron "parallel folding", arXiv 2504.14960):
 *
 *     attention view  N = tp x attnDp x pp     card: 2 x 16 x 4 = 128
 *     expert view     N = ep x edp x pp        card: 16 x 2 x 4 = 128
 *
 * rank = (replica * pp + stage) * ep + e. The e-th rank of a stage is member e % tp of TP group floor(e / tp).
 * So a replica is a contiguous block of ranks, a stage a contiguous block of it, a TP group one of that.
 */
export interface Layout {
  readonly spec: LayoutSpec;
  /** The model that the ownership below is about. */
  readonly model: MoeConfig;
  /** Where the experts lie on the ranks of an EP group, in every layer and replica alike: equal runs of them by default. */
  readonly placement: ExpertPlacement;
  /** ep * pp * dp */
  readonly worldSize: number;
  /** Ranks that run one stage, over all replicas: ep * dp. */
  readonly ranksPerStage: number;
  /** TP groups that run one stage, over all replicas: ep * dp / tp. Each serves its own sequences. */
  readonly attnDp: number;
  /** TP groups of one stage of one replica: ep / tp. */
  readonly tpGroupsPerStage: number;

  readonly coordinates: (rank: number) => Coordinates;
  readonly rankAt: (where: { replica: number; stage: number; ep: number }) => number;

  /** The ranks that `rank` forms a group with along an axis, itself included, ascending. */
  readonly group: (rank: number, axis: RankAxis) => number[];
  /** Every group of an axis, ordered by first member: a partition of all ranks. */
  readonly groups: (axis: RankAxis) => number[][];
  /** The ranks that share one attention block with `rank`. */
  readonly tpGroup: (rank: number) => number[];
  /** The ranks that hold the experts of this stage of this replica. */
  readonly epGroup: (rank: number) => number[];
  /** The copies of `rank`: same stage and ep index in every replica. */
  readonly edpGroup: (rank: number) => number[];
  /** The chain of stages that `rank` is part of: same replica and ep index. */
  readonly ppGroup: (rank: number) => number[];
  /** The ranks that hold the same attention shard for other sequences: same stage and tp index. */
  readonly attnDpGroup: (rank: number) => number[];

  /** Layers of a stage: runs that differ by at most one, the longer first. */
  readonly layersOf: (stage: number) => Run;
  readonly stageOfLayer: (layer: number) => number;
  /** Query heads of a member of a TP group. */
  readonly headsOf: (tpIndex: number) => Run;
  /** Exactly the KV heads that those query heads read; several ranks hold one when tp > numKvHeads. */
  readonly kvHeadsOf: (tpIndex: number) => Run;
  /** The experts that a member of an EP group holds, in the order of its slots. */
  readonly expertsOf: (epIndex: number) => readonly number[];
  /** Those slots, numbered through the ranks of the group. By default a slot has its expert's number. */
  readonly slotsOf: (epIndex: number) => Run;
  /** The members of an EP group that hold an expert, ascending: more than one where it has replicas. */
  readonly ownersOfExpert: (expert: number) => readonly number[];
  /** Sequence parallelism: the tokens that a member of a TP group keeps between the two collectives. */
  readonly tokensOf: (numTokens: number, tpIndex: number) => Run;
  /** Sequences are dealt round-robin: attnDp group g = replica * tpGroupsPerStage + tpGroup gets s % attnDp == g. */
  readonly sequencesOf: (numSequences: number, replica: number, tpGroup: number) => number[];
}

/** [first, first + count) */
export interface Run {
  readonly first: number;
  readonly count: number;
}

export interface Coordinates {
  readonly replica: number;
  readonly stage: number;
  /** Index in the EP group: tpGroup * tp + tp. */
  readonly ep: number;
  /** Index in the TP group. */
  readonly tp: number;
  /** Which TP group of this stage of this replica. */
  readonly tpGroup: number;
}

/** `edp` is the tuple's dp as ranks see it: copies of an expert. */
export type RankAxis = 'tp' | 'attnDp' | 'ep' | 'edp' | 'pp';

type MeshPart = 'replica' | 'stage' | 'tpGroup' | 'tp';

const ATTENTION_VIEW = { tp: ['tp'], attnDp: ['replica', 'tpGroup'], pp: ['stage'] } as const;
const EXPERT_VIEW = { ep: ['tpGroup', 'tp'], edp: ['replica'], pp: ['stage'] } as const;
const AXIS_PARTS: Readonly<Record<RankAxis, readonly MeshPart[]>> = { ...ATTENTION_VIEW, ...EXPERT_VIEW };
export const RANK_VIEWS: Readonly<Record<'attention' | 'expert', View<MeshPart>>> = {
  attention: ATTENTION_VIEW,
  expert: EXPERT_VIEW,
};

/** Each is looked at by itself, and no model has as many. */
const MOST_LAYERS = 16_384;

/**
 * Checks a layout against a model and answers every question about who is who and who owns what.
 * @param placement where the experts lie on the `ep` ranks of a group; equal runs of them when absent.
 * @throws ConfigError when the tuple does not fit itself, the model or the placement.
 */
export function planLayout(spec: LayoutSpec, config: MoeConfig, placement?: ExpertPlacement): Layout {
  requireFields('The layout', spec, { ep: 'number', pp: 'number', tp: 'number', dp: 'number' });
  requireConfig(config);
  if (!(config.numLayers <= MOST_LAYERS)) {
    throw new ConfigError(
      `numLayers (${config.numLayers}) of model ${config.name} must be at most ${MOST_LAYERS}. Correct the config.`,
    );
  }
  checkLayout(spec, config, placement === undefined);
  if (placement !== undefined) checkPlacement(placement, spec, config);
  const placed = placement ?? contiguousPlacement(config.numExperts, spec.ep);
  const mesh = createMesh<MeshPart>([
    { name: 'replica', size: spec.dp },
    { name: 'stage', size: spec.pp },
    { name: 'tpGroup', size: spec.ep / spec.tp },
    { name: 'tp', size: spec.tp },
  ]);
  checkViews(mesh, RANK_VIEWS);
  return {
    spec,
    model: config,
    placement: placed,
    worldSize: worldSizeOf(spec),
    ranksPerStage: spec.ep * spec.dp,
    attnDp: (spec.ep * spec.dp) / spec.tp,
    tpGroupsPerStage: spec.ep / spec.tp,
    ...rankQuestions(spec, mesh),
    ...ownership(spec, config, placed),
  };
}

/** The rank of the layout that a stage's rank is, which is numbered within it: replica * ep + e. */
export function globalRank({ spec, rankAt }: Layout, stage: number, rank: number): number {
  return rankAt({ replica: Math.floor(rank / spec.ep), stage, ep: rank % spec.ep });
}

type RankQuestions = Pick<
  Layout,
  | 'coordinates'
  | 'rankAt'
  | 'group'
  | 'groups'
  | 'tpGroup'
  | 'epGroup'
  | 'edpGroup'
  | 'ppGroup'
  | 'attnDpGroup'
>;

function rankQuestions(spec: LayoutSpec, mesh: Mesh<MeshPart>): RankQuestions {
  const { ep, tp } = spec;
  const group = (rank: number, axis: RankAxis): number[] => mesh.group(rank, AXIS_PARTS[axis]);
  return {
    coordinates(rank) {
      const where = mesh.coordinates(rank);
      return { ...where, ep: where.tpGroup * tp + where.tp };
    },
    rankAt(where) {
      checkIndex('ep', where.ep, ep);
      const { replica, stage } = where;
      return mesh.rankAt({ replica, stage, tpGroup: Math.floor(where.ep / tp), tp: where.ep % tp });
    },
    group,
    groups: (axis) => mesh.groups(AXIS_PARTS[axis]),
    tpGroup: (rank) => group(rank, 'tp'),
    epGroup: (rank) => group(rank, 'ep'),
    edpGroup: (rank) => group(rank, 'edp'),
    ppGroup: (rank) => group(rank, 'pp'),
    attnDpGroup: (rank) => group(rank, 'attnDp'),
  };
}

function checkPlacement(
  placement: ExpertPlacement,
  { ep }: LayoutSpec,
  { name, numExperts }: MoeConfig,
): void {
  requirePlacement(placement);
  if (placement.numRanks === ep && placement.numExperts === numExperts) return;
  throw new ConfigError(
    `the placement is of ${placement.numExperts} experts on ${placement.numRanks} ranks; ${name} has ${numExperts} experts and ` +
      `the layout ep=${ep}. Make one for these.`,
  );
}

/** The owners that a layout gives: the slots of each rank, which by default are equal runs of experts. */
export function expertOwners(layout: Layout): ExpertOwners {
  return range(layout.spec.ep).map((epIndex) => {
    const { first, count } = layout.slotsOf(epIndex);
    return range(count).map((i) => first + i);
  });
}

type Ownership = Pick<
  Layout,
  | 'layersOf'
  | 'stageOfLayer'
  | 'headsOf'
  | 'kvHeadsOf'
  | 'expertsOf'
  | 'slotsOf'
  | 'ownersOfExpert'
  | 'tokensOf'
  | 'sequencesOf'
>;

function ownership(spec: LayoutSpec, config: MoeConfig, placement: ExpertPlacement): Ownership {
  const { ep, pp, tp, dp } = spec;
  const { numLayers, numExperts } = config;
  const headsPerRank = config.numHeads / tp;
  const headsPerKvHead = config.numHeads / config.numKvHeads;
  const experts = expertsOfRanks(placement);
  const tpGroups = ep / tp;

  const layersOf = (stage: number): Run => {
    checkIndex('stage', stage, pp);
    return balanced(numLayers, pp, stage);
  };
  const headsOf = (tpIndex: number): Run => {
    checkIndex('tp index', tpIndex, tp);
    return { first: tpIndex * headsPerRank, count: headsPerRank };
  };
  return {
    layersOf,
    stageOfLayer(layer) {
      checkIndex('layer', layer, numLayers);
      return range(pp).findIndex((stage) => layer < layersOf(stage).first + layersOf(stage).count);
    },
    headsOf,
    kvHeadsOf(tpIndex) {
      const heads = headsOf(tpIndex);
      const first = Math.floor(heads.first / headsPerKvHead);
      const last = Math.floor((heads.first + heads.count - 1) / headsPerKvHead);
      return { first, count: last - first + 1 };
    },
    expertsOf(epIndex) {
      checkIndex('ep index', epIndex, ep);
      return at(experts, epIndex);
    },
    slotsOf(epIndex) {
      checkIndex('ep index', epIndex, ep);
      return { first: at(placement.firstSlot, epIndex), count: at(experts, epIndex).length };
    },
    ownersOfExpert(expert) {
      checkIndex('expert', expert, numExperts);
      return [...new Set(at(placement.slotsOfExpert, expert).map((slot) => at(placement.rankOfSlot, slot)))];
    },
    tokensOf(numTokens, tpIndex) {
      checkIndex('tp index', tpIndex, tp);
      return balanced(numTokens, tp, tpIndex);
    },
    sequencesOf(numSequences, replica, tpGroup) {
      checkIndex('replica', replica, dp);
      checkIndex('TP group', tpGroup, tpGroups);
      const attnDp = dp * tpGroups;
      const group = replica * tpGroups + tpGroup;
      return range(Math.max(0, Math.ceil((numSequences - group) / attnDp))).map((i) => group + i * attnDp);
    },
  };
}

function balanced(n: number, parts: number, index: number): Run {
  const [first, count] = balancedRun(n, parts, index);
  return { first, count };
}

function checkIndex(name: string, index: number, size: number): void {
  const inside = Number.isInteger(index) && index >= 0 && index < size;
  invariant(inside, () => `${name} ${index} is not in [0, ${size})`);
}
