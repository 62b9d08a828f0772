/**
 * Weighted replica split: a replica may take any share of its expert's tokens. Then the lowest load that the fullest GPU
 * can have is the largest load of a set of experts over the number of GPUs that hold any of them, and a maximum flow
 * from experts to GPUs finds it, with the shares.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { at, range, sum } from '../../core/math.ts';
import { type ExpertPlacement, requirePlacement } from '../placement.ts';
import type { ReplicaShares } from '../replicas.ts';
import { FlowGraph } from './flow.ts';

/** The best that any split of rows over replicas makes of a placement. */
export interface WeightedSplit {
  /** Of the fullest GPU over the mean: at least 1. */
  readonly maxOverMean: number;
  /** Load of every GPU. */
  readonly loadOfRanks: readonly number[];
  readonly shares: ReplicaShares;
}

/** Loads are told apart down to this share of the whole. Far above what f64 leaves over. */
const EPSILON = 1e-12;

/** The split of every expert's rows over its replicas that leaves the fullest GPU the least. @param load of each expert, at least 0. */
export function weightedSplit(load: readonly number[], placement: ExpertPlacement): WeightedSplit {
  requireGiven('The load', load, 'list');
  requirePlacement(placement);
  const { numExperts, numRanks, slotsOfExpert, rankOfSlot } = placement;
  if (load.length !== numExperts || !load.every((value) => value >= 0 && value < Infinity)) {
    throw new ConfigError(
      `there must be a finite load of at least 0 for each of the ${numExperts} experts that are placed.`,
    );
  }
  const total = sum(load);
  if (!(total > 0)) {
    const shares = slotsOfExpert.map((slots) => slots.map(() => 1));
    return { maxOverMean: 1, loadOfRanks: range(numRanks).map(() => 0), shares };
  }
  const ranksOf = slotsOfExpert.map((slots) => [...new Set(slots.map((slot) => at(rankOfSlot, slot)))]);
  let level = total / numRanks;
  for (;;) {
    const graph = new FlowGraph(numExperts + numRanks + 2);
    const [source, sink] = [numExperts + numRanks, numExperts + numRanks + 1];
    for (const e of range(numExperts)) {
      if (at(load, e) === 0) continue;
      graph.edge(source, e, at(load, e));
      for (const rank of at(ranksOf, e)) graph.edge(e, numExperts + rank, Infinity);
    }
    for (const rank of range(numRanks)) graph.edge(numExperts + rank, sink, level);
    const flow = graph.maximum(source, sink, EPSILON * total);
    // What can still be reached are experts that find no room, with all GPUs that they could go to.
    const reached = graph.reachable(source, EPSILON * total);
    const experts = range(numExperts).filter((e) => reached[e] === true && at(load, e) > 0);
    const ranks = new Set(experts.flatMap((e) => at(ranksOf, e)));
    const needed = ranks.size === 0 ? level : sum(experts.map((e) => at(load, e))) / ranks.size;
    if (total - flow <= EPSILON * total * numExperts || !(needed > level)) {
      return splitOf(placement, load, graph, (level * numRanks) / total);
    }
    level = needed;
  }
}

function splitOf(
  { numExperts, numRanks, slotsOfExpert, rankOfSlot }: ExpertPlacement,
  load: readonly number[],
  graph: FlowGraph,
  maxOverMean: number,
): WeightedSplit {
  const loadOfRanks = range(numRanks).map(() => 0);
  const shares = slotsOfExpert.map((slots, e) => {
    if (at(load, e) === 0) return slots.map(() => 1);
    const own = slots.map((slot, i) => {
      const rank = at(rankOfSlot, slot);
      // Two replicas on one GPU are as one.
      const first = slots.findIndex((other) => at(rankOfSlot, other) === rank) === i;
      return first ? graph.flowBetween(e, numExperts + rank) : 0;
    });
    const routed = sum(own);
    own.forEach((flow, i) => {
      const rank = at(rankOfSlot, at(slots, i));
      loadOfRanks[rank] = at(loadOfRanks, rank) + (flow / routed) * at(load, e);
    });
    return own;
  });
  return { maxOverMean, loadOfRanks, shares };
}
