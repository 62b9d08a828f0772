/**
 * A step as tracks with slices, in two groups: the device as it ran, GPU and host on one axis, and the virtual cluster,
 * stage by stage and rank by rank. What is written is decided by a writer; nothing is collected here.
 */
import { maxOf } from '../../core/math.ts';
import type { StepResult } from '../../runtime/engine.ts';
import { hostOffset } from '../host-offset.ts';
import { isCommunication, type RankSlice, type VirtualCluster } from '../../runtime/step/virtual-cluster.ts';

export interface Track {
  /** From 1 on. */
  readonly id: number;
  readonly name: string;
  /** The group or stage that it is in. */
  readonly parent: number | undefined;
  /** Among those of its parent. */
  readonly rank: number;
}

export interface Begin {
  readonly kind: 'begin';
  readonly track: number;
  /** From the step's begin, whole ns. */
  readonly ns: number;
  readonly name: string;
  /** What it is, and where its time comes from. */
  readonly categories: readonly string[];
  readonly args?: Readonly<Record<string, number>>;
  /** What is sent from here, and what arrives here. */
  readonly sends?: number;
  readonly receives?: number;
}

export interface End {
  readonly kind: 'end';
  readonly track: number;
  readonly ns: number;
}

/** Begins and ends nest within a track, and each track's are in order. */
export type TimelineEvent = Begin | End;

export interface Timeline {
  readonly tracks: readonly Track[];
  /** Made as they are asked for. */
  events(): Generator<TimelineEvent>;
}

const [DEVICE, GPU, HOST, CLUSTER] = [1, 2, 3, 4];
const FIRST_STAGE = 5;

/** @param rankName of a stage's rank: 'rank 17'. */
export function timelineOf(
  step: Pick<StepResult, 'spans' | 'submits' | 'host'>,
  cluster: VirtualCluster,
  rankName: (stage: number, rank: number) => string,
): Timeline {
  const numStages =
    1 +
    maxOf(
      cluster.ranks.map(({ stage }) => stage),
      -1,
    );
  const numRanks =
    1 +
    maxOf(
      cluster.ranks.map(({ rank }) => rank),
      -1,
    );
  const trackOf = (stage: number, rank: number): number => FIRST_STAGE + numStages + stage * numRanks + rank;
  const offset = hostOffset(step, step.spans[0]?.beginNs ?? 0n);
  const within = offset === undefined ? '' : ` (one axis within ${Math.round(offset.errorNs / 1000)} us)`;
  const tracks: Track[] = [
    { id: DEVICE, name: `device, as it ran${within}`, parent: undefined, rank: 0 },
    { id: GPU, name: 'GPU', parent: DEVICE, rank: 0 },
    { id: HOST, name: 'host', parent: DEVICE, rank: 1 },
  ];
  if (numStages > 0)
    tracks.push({ id: CLUSTER, name: 'virtual cluster, links free', parent: undefined, rank: 1 });
  for (let stage = 0; stage < numStages; stage++) {
    tracks.push({ id: FIRST_STAGE + stage, name: `stage ${stage}`, parent: CLUSTER, rank: stage });
    for (let rank = 0; rank < numRanks; rank++) {
      const id = trackOf(stage, rank);
      tracks.push({ id, name: rankName(stage, rank), parent: FIRST_STAGE + stage, rank });
    }
  }
  return {
    tracks,
    *events() {
      yield* gpuEvents(step, offset?.ns ?? 0);
      yield* hostEvents(step);
      yield* rankEvents(cluster.slices, numStages, numRanks, trackOf);
    },
  };
}

function* gpuEvents(
  { spans, host }: Pick<StepResult, 'spans' | 'host'>,
  offsetNs: number,
): Generator<TimelineEvent> {
  const originNs = spans[0]?.beginNs ?? 0n;
  const startNs = host[0]?.beginNs ?? 0;
  let until = 0;
  for (const { tag, kernel, ns, beginNs } of spans) {
    if (ns === undefined) continue;
    // One track nests: a pass that began before the end of another is shown from there on.
    const at = Number(beginNs - originNs) + offsetNs - startNs;
    const begin = Math.max(until, Math.round(at));
    until = Math.max(begin, Math.round(at + ns));
    const name = kernel ?? `stage ${tag.stage} ${tag.operation}`;
    yield { kind: 'begin', track: GPU, ns: begin, name, categories: ['gpu', 'measured'], args: placeOf(tag) };
    yield { kind: 'end', track: GPU, ns: until };
  }
}

function* hostEvents({ host }: Pick<StepResult, 'host'>): Generator<TimelineEvent> {
  const startNs = host[0]?.beginNs ?? 0;
  for (const { phase, beginNs, endNs } of host) {
    const ns = Math.round(beginNs - startNs);
    yield { kind: 'begin', track: HOST, ns, name: phase, categories: ['host', 'measured'] };
    yield { kind: 'end', track: HOST, ns: Math.round(endNs - startNs) };
  }
}

/** A slice for each micro-batch on a rank, its operations within; from its last one a flow to the next stage's first. */
function* rankEvents(
  slices: readonly RankSlice[],
  numStages: number,
  numRanks: number,
  trackOf: (stage: number, rank: number) => number,
): Generator<TimelineEvent> {
  const numBatches =
    1 +
    maxOf(
      slices.map(({ microBatch }) => microBatch),
      -1,
    );
  const flowId = (stage: number, { rank, microBatch }: RankSlice): number =>
    1 + (stage * numRanks + rank) * numBatches + microBatch;
  const keyOf = ({ stage, rank, microBatch }: RankSlice): string => `${stage}/${rank}/${microBatch}`;
  const there = new Set(slices.map(keyOf));
  for (const [i, slice] of slices.entries()) {
    const { stage, rank, microBatch, layer, operation, source } = slice;
    const track = trackOf(stage, rank);
    const before = slices[i - 1];
    const after = slices[i + 1];
    const isFirst = before === undefined || keyOf(before) !== keyOf(slice);
    const isLast = after === undefined || keyOf(after) !== keyOf(slice);
    const begin = Math.round(slice.beginNs);
    const end = Math.round(slice.beginNs + slice.ns);
    if (isFirst) {
      const name = `micro-batch ${microBatch}`;
      yield { kind: 'begin', track, ns: begin, name, categories: ['micro-batch', source] };
    }
    const sends = isLast && stage + 1 < numStages && there.has(`${stage + 1}/${rank}/${microBatch}`);
    const receives = isFirst && stage > 0 && there.has(`${stage - 1}/${rank}/${microBatch}`);
    yield {
      ...{ kind: 'begin', track, ns: begin, name: operation, args: placeOf({ layer, microBatch }) },
      categories: [isCommunication(operation) ? 'communication' : 'compute', source],
      ...(sends && { sends: flowId(stage, slice) }),
      ...(receives && { receives: flowId(stage - 1, slice) }),
    };
    yield { kind: 'end', track, ns: end };
    if (isLast) yield { kind: 'end', track, ns: end };
  }
}

function placeOf({ layer, microBatch }: Pick<RankSlice, 'layer' | 'microBatch'>): Record<string, number> {
  return { ...(layer !== undefined && { layer }), 'micro-batch': microBatch };
}
