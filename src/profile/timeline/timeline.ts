/**
 * A run as tracks with slices, in two groups: the device as it ran, GPU and host on one axis, and the virtual cluster,
 * stage by stage and rank by rank. What is written is decided by a writer; nothing is collected here.
 */
import { at, maxOf } from '../../core/math.ts';
import { isCommunication, type RankSlice } from '../../runtime/step/virtual-cluster.ts';
import { axisOf, onHost, type DeviceAxis } from '../host-offset.ts';
import { workOf, type ProfiledRun, type RunCluster } from '../run.ts';
import { stageCounters } from './counters.ts';

export interface Track {
  /** From 1 on. */
  readonly id: number;
  readonly name: string;
  /** The group or stage that it is in. */
  readonly parent: number | undefined;
  /** Among those of its parent. */
  readonly rank: number;
  /** Of a track with numbers in place of slices. */
  readonly counts?: 'rows' | 'bytes';
}

export interface Begin {
  readonly kind: 'begin';
  readonly track: number;
  /** From the run's begin, whole ns. */
  readonly ns: number;
  readonly name: string;
  /** What it is, and where its time comes from. */
  readonly categories: readonly string[];
  readonly args?: Readonly<Record<string, number>>;
  /** What is sent from here, and what arrives here. */
  readonly sends?: number | undefined;
  readonly receives?: number | undefined;
}

export interface End {
  readonly kind: 'end';
  readonly track: number;
  readonly ns: number;
}

/** From here on a track that counts has this value. */
export interface Count {
  readonly kind: 'count';
  readonly track: number;
  readonly ns: number;
  readonly value: number;
}

/** Begins and ends nest within a track, and each track's are in order. */
export type TimelineEvent = Begin | End | Count;

export interface Timeline {
  readonly tracks: readonly Track[];
  /** Made as they are asked for. */
  events(): Generator<TimelineEvent>;
}

const [DEVICE, GPU, HOST, CLUSTER] = [1, 2, 3, 4];
const FIRST_STAGE = 5;
/** What is counted of each stage, below its ranks. */
const COUNTERS = [
  { name: 'expert rows, fullest rank', counts: 'rows', of: 'fullest' },
  { name: 'expert rows, all ranks', counts: 'rows', of: 'all' },
  { name: 'bytes in flight (modelled)', counts: 'bytes', of: 'bytes' },
] as const;

/**
 * @param rankName of a stage's rank: 'rank 17'.
 * @param axis the device's clock, where more is known of it than this run tells.
 */
export function timelineOf(
  { pieces }: Pick<ProfiledRun, 'pieces'>,
  cluster: RunCluster,
  rankName: (stage: number, rank: number) => string,
  axis: DeviceAxis = axisOf(pieces, []),
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
  const perStage = numRanks + COUNTERS.length;
  const trackOf = (stage: number, place: number): number =>
    FIRST_STAGE + numStages + stage * perStage + place;
  const { offset } = axis;
  const within = offset === undefined ? '' : ` (one axis within ${Math.round(offset.errorNs / 1000)} us)`;
  const tracks: Track[] = [
    { id: DEVICE, name: `device, as it ran${within}`, parent: undefined, rank: 0 },
    { id: GPU, name: 'GPU', parent: DEVICE, rank: 0 },
    { id: HOST, name: 'host', parent: DEVICE, rank: 1 },
  ];
  const links = cluster.links === undefined ? 'links free' : `links of ${cluster.links} (modelled)`;
  if (numStages > 0)
    tracks.push({ id: CLUSTER, name: `virtual cluster, ${links}`, parent: undefined, rank: 1 });
  for (let stage = 0; stage < numStages; stage++) {
    const parent = FIRST_STAGE + stage;
    tracks.push({ id: parent, name: `stage ${stage}`, parent: CLUSTER, rank: stage });
    for (let rank = 0; rank < numRanks; rank++) {
      tracks.push({ id: trackOf(stage, rank), name: rankName(stage, rank), parent, rank });
    }
    for (const [i, { name, counts }] of COUNTERS.entries()) {
      const place = numRanks + i;
      tracks.push({ id: trackOf(stage, place), name, parent, rank: place, counts });
    }
  }
  return {
    tracks,
    *events() {
      yield* gpuEvents(pieces, axis);
      yield* hostEvents(pieces);
      yield* rankEvents(cluster.slices, numStages, numRanks, trackOf);
      for (const { stage, ns, ...values } of stageCounters(cluster.slices)) {
        for (const [i, { of }] of COUNTERS.entries()) {
          const value = values[of];
          if (value === undefined) continue;
          yield { kind: 'count', track: trackOf(stage, numRanks + i), ns: Math.round(ns), value };
        }
      }
    },
  };
}

type Pieces = ProfiledRun['pieces'];

/** The host's clock at the run's begin. */
function startOf(pieces: Pieces): number {
  return pieces[0]?.host[0]?.beginNs ?? 0;
}

function* gpuEvents(pieces: Pieces, axis: DeviceAxis): Generator<TimelineEvent> {
  const startNs = startOf(pieces);
  let until = 0;
  for (const piece of pieces) {
    for (const span of piece.spans) {
      const { tag, kernel, ns, beginNs } = span;
      if (ns === undefined) continue;
      // One track nests: a pass that began before the end of another is shown from there on.
      const at = onHost(axis, beginNs) - startNs;
      const begin = Math.max(until, Math.round(at));
      until = Math.max(begin, Math.round(at + ns));
      const name = kernel ?? workOf(piece, span);
      yield {
        kind: 'begin',
        track: GPU,
        ns: begin,
        name,
        categories: ['gpu', 'measured'],
        args: argsOf({ layer: tag.layer, microBatch: tag.microBatch }),
      };
      yield { kind: 'end', track: GPU, ns: until };
    }
  }
}

function* hostEvents(pieces: Pieces): Generator<TimelineEvent> {
  const startNs = startOf(pieces);
  for (const { host } of pieces) {
    for (const { phase, beginNs, endNs } of host) {
      const ns = Math.round(beginNs - startNs);
      yield { kind: 'begin', track: HOST, ns, name: phase, categories: ['host', 'measured'] };
      yield { kind: 'end', track: HOST, ns: Math.round(endNs - startNs) };
    }
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
  const flowId = (stage: number, { step, rank, microBatch }: RankSlice): number =>
    1 + ((step * numStages + stage) * numRanks + rank) * numBatches + microBatch;
  const flows = slices.map((slice) => flowId(slice.stage, slice));
  const there = new Set(flows);
  for (const [i, slice] of slices.entries()) {
    const { stage, rank, microBatch, operation, source } = slice;
    const track = trackOf(stage, rank);
    const flow = at(flows, i);
    const isFirst = flows[i - 1] !== flow;
    const isLast = flows[i + 1] !== flow;
    const ns = Math.round(slice.beginNs);
    const end: End = { kind: 'end', track, ns: Math.round(slice.beginNs + slice.ns) };
    if (isFirst) {
      const name = `micro-batch ${microBatch}`;
      yield { kind: 'begin', track, ns, name, categories: ['micro-batch', source] };
    }
    const sends = isLast && stage + 1 < numStages && there.has(flowId(stage + 1, slice));
    const receives = isFirst && stage > 0 && there.has(flowId(stage - 1, slice));
    const what = source === 'modelled' ? 'link' : isCommunication(operation) ? 'communication' : 'compute';
    yield {
      kind: 'begin',
      track,
      ns,
      name: what === 'link' ? `${operation} over links` : operation,
      args: argsOf(slice),
      categories: [what, source],
      sends: sends ? flow : undefined,
      receives: receives ? flowId(stage - 1, slice) : undefined,
    };
    yield end;
    if (isLast) yield end;
  }
}

function argsOf(of: Pick<RankSlice, 'layer' | 'microBatch'> & { readonly rows?: number | undefined }) {
  const args: Record<string, number> = {};
  if (of.layer !== undefined) args.layer = of.layer;
  args['micro-batch'] = of.microBatch;
  if (of.rows !== undefined) args.rows = of.rows;
  return args;
}
