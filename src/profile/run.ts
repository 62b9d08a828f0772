/** One run of what is profiled, as it went: steps of an engine, or an op. */
import type { HostPhase } from '../runtime/step/host-times.ts';
import type { StepSpanTime } from '../runtime/step/span.ts';
import type { SubmitTimes } from '../runtime/step/timed-lists.ts';
import type { ExpertRows } from '../runtime/step/trace.ts';
import {
  virtualCluster,
  type RankSlice,
  type RankTime,
  type VirtualCluster,
  weaker,
} from '../runtime/step/virtual-cluster.ts';

/** `choose`: a token from the logits of the step before. */
export type RunPhase = HostPhase | 'choose';

export interface RunHostTime {
  readonly phase: RunPhase;
  /** By the host's clock, ns. */
  readonly beginNs: number;
  readonly endNs: number;
}

/** A stretch of a run without a gap. */
export interface RunPiece {
  /** 'prefill', 'decode'; undefined where the run has one part only. */
  readonly part?: string | undefined;
  /** False: there are no stages, and a pass goes by its operation. */
  readonly staged?: boolean;
  readonly spans: readonly StepSpanTime[];
  readonly submits: readonly SubmitTimes[];
  readonly host: readonly RunHostTime[];
  readonly hostNs: number;
  /** Waits of the host for the device: 1 when absent. */
  readonly hostSyncs?: number;
  /** Rows of the experts by rank, where they were traced. */
  readonly expertRows?: readonly ExpertRows[];
}

export interface ProfiledRun {
  /** By the host's clock, ns. */
  readonly wallNs: number;
  /** In order of time. */
  readonly pieces: readonly RunPiece[];
}

/** What a pass counts for: 'stage 0 experts'. */
export function workOf({ staged = true }: RunPiece, { tag }: StepSpanTime): string {
  return staged ? `stage ${tag.stage} ${tag.operation}` : tag.operation;
}

export interface RunSlice extends RankSlice {
  /** Which step of the run. */
  readonly step: number;
}

export interface RunCluster extends VirtualCluster {
  readonly slices: readonly RunSlice[];
}

/** What a stage does for one micro-batch of a step, as its slowest ranks let it. Times count from the run's begin. */
export interface RunSlot {
  readonly step: number;
  readonly stage: number;
  readonly microBatch: number;
  readonly beginNs: number;
  readonly ns: number;
}

/** In order of stages and time. */
export function slotsOf({ slices }: Pick<RunCluster, 'slices'>): RunSlot[] {
  const slots = new Map<string, { -readonly [K in keyof RunSlot]: RunSlot[K] }>();
  for (const { step, stage, microBatch, beginNs, ns } of slices) {
    const key = `${step}/${stage}/${microBatch}`;
    const slot = slots.get(key) ?? { step, stage, microBatch, beginNs, ns: 0 };
    const endNs = Math.max(slot.beginNs + slot.ns, beginNs + ns);
    slot.beginNs = Math.min(slot.beginNs, beginNs);
    slot.ns = endNs - slot.beginNs;
    slots.set(key, slot);
  }
  return [...slots.values()].sort((a, b) => a.stage - b.stage || a.beginNs - b.beginNs);
}

/** The ranks of a run: one step after the other, each as `virtualCluster` has it. Without stages there are none. */
export function clusterOf({ pieces }: Pick<ProfiledRun, 'pieces'>): RunCluster {
  const clusters = pieces.filter(({ staged = true }) => staged).map((piece) => virtualCluster(piece));
  let wallNs = 0;
  const slices: RunSlice[] = [];
  for (const [step, cluster] of clusters.entries()) {
    for (const slice of cluster.slices) slices.push({ ...slice, step, beginNs: slice.beginNs + wallNs });
    wallNs += cluster.wallNs;
  }
  slices.sort((a, b) => a.stage - b.stage || a.rank - b.rank || a.beginNs - b.beginNs);
  return { wallNs, slices, ranks: joined(clusters.flatMap(({ ranks }) => ranks)) };
}

/** Times of one rank over all steps, the slowest rank first. */
function joined(all: readonly RankTime[]): RankTime[] {
  const byRank = new Map<string, RankTime>();
  for (const own of all) {
    const key = `${own.stage}/${own.rank}`;
    const before = byRank.get(key);
    byRank.set(key, before === undefined ? own : added(before, own));
  }
  const busyNs = (r: RankTime): number => r.computeNs + r.communicationNs;
  return [...byRank.values()].sort((a, b) => busyNs(b) - busyNs(a));
}

function added(a: RankTime, b: RankTime): RankTime {
  return {
    ...{ stage: a.stage, rank: a.rank, source: weaker(a.source, b.source) },
    computeNs: a.computeNs + b.computeNs,
    communicationNs: a.communicationNs + b.communicationNs,
    bubbleNs: a.bubbleNs + b.bubbleNs,
    idleNs: a.idleNs + b.idleNs,
  };
}
