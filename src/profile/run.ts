/** One run of what is profiled, as it went: steps of an engine, or an op. */
import type { HostPhase } from '../runtime/step/host-times.ts';
import type { StepSpanTime } from '../runtime/step/span.ts';
import type { SubmitTimes } from '../runtime/step/timed-lists.ts';
import type { ExpertRows } from '../runtime/step/trace.ts';
import {
  virtualCluster,
  type LinkModel,
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

export interface RunCluster extends VirtualCluster {
  /** The hardware whose links are modelled; absent where they are free. */
  readonly links?: string;
}

/** Links, and whose they are. */
export interface NamedLinks {
  readonly name: string;
  readonly model: LinkModel;
}

/** The ranks of a run: one step after the other, each as `virtualCluster` has it. Without stages there are none. */
export function clusterOf({ pieces }: Pick<ProfiledRun, 'pieces'>, links?: NamedLinks): RunCluster {
  let wallNs = 0;
  const clusters = pieces
    .filter(({ staged = true }) => staged)
    .map((piece, step) => {
      const cluster = virtualCluster(piece, { links: links?.model, step, startNs: wallNs });
      wallNs += cluster.wallNs;
      return cluster;
    });
  const slices = clusters.flatMap((cluster) => cluster.slices);
  slices.sort((a, b) => a.stage - b.stage || a.rank - b.rank || a.beginNs - b.beginNs);
  const ranks = joined(clusters.flatMap((cluster) => cluster.ranks));
  return { wallNs, slices, ranks, ...(links !== undefined && { links: links.name }) };
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
    ...(a.linkNs !== undefined && { linkNs: a.linkNs + (b.linkNs ?? 0) }),
    bubbleNs: a.bubbleNs + b.bubbleNs,
    idleNs: a.idleNs + b.idleNs,
  };
}
