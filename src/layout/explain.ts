import { invariant } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { balancedRun, range, sum } from '../core/math.ts';
import { requireConfig, type MoeConfig } from '../model/config.ts';
import type { Layout, RankAxis, Run } from './layout.ts';
import { type PlacementTable, placementTable } from './placement-table.ts';
import { readingsOf, type Factor } from './readings.ts';
import { formatLayout, type LayoutSpec } from './spec.ts';

/** Everything about a layout as plain data: what `--json` prints and `renderExplanation` draws. */
export interface LayoutExplanation {
  readonly layout: string;
  readonly spec: LayoutSpec;
  readonly model: string;
  readonly worldSize: number;
  readonly ranksPerStage: number;
  readonly attnDp: number;
  readonly tpGroupsPerStage: number;
  readonly views: { readonly attention: readonly Factor[]; readonly expert: readonly Factor[] };
  /** The rank that the groups and sentences are about. */
  readonly exampleRank: number;
  readonly groups: readonly GroupExample[];
  readonly ranks: readonly RankShare[];
  /** Where the experts lie on the ranks of an EP group; absent where they lie in equal runs. */
  readonly placement?: PlacementTable;
  readonly bytesPerWeight: number;
  /** Parameters of one copy of the model. */
  readonly modelParams: number;
  /** Parameters that all ranks hold together, copies included. */
  readonly storedParams: number;
  readonly storedBytes: number;
}

/** One group of an axis: the one that the example rank is in. */
export interface GroupExample {
  readonly axis: RankAxis;
  readonly size: number;
  /** How many such groups the world has. */
  readonly numGroups: number;
  readonly ranks: readonly number[];
}

/** What one rank is and holds. */
export interface RankShare {
  readonly rank: number;
  readonly replica: number;
  readonly stage: number;
  readonly ep: number;
  readonly tp: number;
  readonly tpGroup: number;
  readonly layers: Run;
  readonly heads: Run;
  readonly kvHeads: Run;
  /** The slots for experts that it owns, numbered through the ranks of its group; by default slots have their experts' numbers. */
  readonly experts: Run;
  /** The experts in them. */
  readonly expertIds: readonly number[];
  readonly params: RankParams;
  readonly bytes: number;
}

/** Numbers of weights. The embedding is on every rank of the first stage, and each TP member of the last has its rows of the LM head. */
export interface RankParams {
  readonly attention: number;
  readonly experts: number;
  readonly gate: number;
  readonly norms: number;
  readonly embedding: number;
  readonly lmHead: number;
  readonly total: number;
}

const AXES: readonly RankAxis[] = ['tp', 'attnDp', 'ep', 'edp', 'pp'];
const MATRICES_PER_EXPERT = 3; // gate, up and down projection

/**
 * What each rank of a layout is and holds, in weights and bytes, and the groups of one rank as an example.
 * @param bytesPerWeight 4 for f32, 2 for f16; it is printed beside every number of bytes.
 */
export function explainLayout(layout: Layout, config: MoeConfig, bytesPerWeight = 4): LayoutExplanation {
  requireFields('The layout', layout, { spec: 'record', group: 'function' });
  requireConfig(config);
  const planned = layout.model;
  invariant(planned.name === config.name, () => `layout planned for ${planned.name}, not ${config.name}`);
  const { spec, worldSize } = layout;
  const views = readingsOf(spec).find((reading) => reading.runs)?.views;
  invariant(views !== null && views !== undefined, () => `${formatLayout(spec)} has no two views`);
  const exampleRank = exampleRankOf(layout);
  const ranks = range(worldSize).map((rank) => rankShare(layout, config, rank, bytesPerWeight));
  const storedParams = sum(ranks.map((share) => share.params.total));
  return {
    layout: formatLayout(spec),
    spec,
    model: config.name,
    worldSize,
    ranksPerStage: layout.ranksPerStage,
    attnDp: layout.attnDp,
    tpGroupsPerStage: layout.tpGroupsPerStage,
    views,
    exampleRank,
    groups: AXES.map((axis) => {
      const members = layout.group(exampleRank, axis);
      return { axis, size: members.length, numGroups: worldSize / members.length, ranks: members };
    }),
    ranks,
    ...placementTable(layout.placement),
    bytesPerWeight,
    modelParams: modelParams(config),
    storedParams,
    storedBytes: storedParams * bytesPerWeight,
  };
}

/** A rank that is first of nothing where there is a choice, so that every index in the sentences differs. */
function exampleRankOf(layout: Layout): number {
  const { spec } = layout;
  return layout.rankAt({ replica: 0, stage: Math.min(2, spec.pp - 1), ep: Math.min(5, spec.ep - 1) });
}

function rankShare(layout: Layout, config: MoeConfig, rank: number, bytesPerWeight: number): RankShare {
  const where = layout.coordinates(rank);
  const layers = layout.layersOf(where.stage);
  const heads = layout.headsOf(where.tp);
  const kvHeads = layout.kvHeadsOf(where.tp);
  const experts = layout.slotsOf(where.ep);
  const expertIds = layout.expertsOf(where.ep);
  const params = countParams(config, {
    layers: layers.count,
    heads: heads.count,
    kvHeads: kvHeads.count,
    experts: experts.count,
    isFirst: where.stage === 0,
    isLast: where.stage === layout.spec.pp - 1,
    vocabulary: balancedRun(config.vocabSize, layout.spec.tp, where.tp)[1],
  });
  const { replica, stage, ep, tp, tpGroup } = where;
  const place = { rank, replica, stage, ep, tp, tpGroup };
  return {
    ...place,
    layers,
    heads,
    kvHeads,
    experts,
    expertIds,
    params,
    bytes: params.total * bytesPerWeight,
  };
}

interface Share {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly experts: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Rows of the LM head. */
  readonly vocabulary: number;
}

/**
 * Weights of a share: q and o over the query heads, k and v over the KV heads, whole experts, rows of the LM head, everything
 * else copied.
 */
function countParams(config: MoeConfig, share: Share): RankParams {
  const { modelDim, headDim, expertDim, numExperts, vocabSize } = config;
  const attention = share.layers * 2 * (share.heads + share.kvHeads) * headDim * modelDim;
  const experts = share.layers * share.experts * MATRICES_PER_EXPERT * expertDim * modelDim;
  const gate = share.layers * numExperts * modelDim;
  const norms = (share.layers * 2 + (share.isLast ? 1 : 0)) * modelDim;
  const embedding = share.isFirst ? vocabSize * modelDim : 0;
  const lmHead = share.isLast ? share.vocabulary * modelDim : 0;
  const total = attention + experts + gate + norms + embedding + lmHead;
  return { attention, experts, gate, norms, embedding, lmHead, total };
}

function modelParams(config: MoeConfig): number {
  return countParams(config, {
    layers: config.numLayers,
    heads: config.numHeads,
    kvHeads: config.numKvHeads,
    experts: config.numExperts,
    isFirst: true,
    isLast: true,
    vocabulary: config.vocabSize,
  }).total;
}
