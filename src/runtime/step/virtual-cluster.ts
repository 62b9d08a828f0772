/**
 * A step as it would go with every rank on a device of its own: at clock t stage s works on micro-batch t - s, ranks of
 * a stage meet after each operation, and links cost nothing. A rank's own passes are measured; a pass that served
 * several ranks is split by their rows. Where only the GPU knows those, as of experts whose choice was not traced, equal
 * parts are assumed.
 */
import { at, maxOf, range, sum } from '../../core/math.ts';
import type { SpanPart } from '../../collectives/segments.ts';
import type { StepResult } from './step.ts';
import type { StepSpan } from './span.ts';

/** Where a rank's time comes from: a pass of its own, its rows of one that served several, an equal part of such. */
export type RankSource = 'measured' | 'split' | 'assumed';

const BY_TRUST: readonly RankSource[] = ['measured', 'split', 'assumed'];

/** The one that is trusted less. */
export function weaker(one: RankSource, other: RankSource): RankSource {
  return BY_TRUST.indexOf(one) > BY_TRUST.indexOf(other) ? one : other;
}

/** One operation of one rank. Times count from the step's begin. */
export interface RankSlice {
  readonly stage: number;
  /** Of the stage: replica * ep + e. */
  readonly rank: number;
  readonly microBatch: number;
  readonly layer: number | undefined;
  readonly operation: string;
  /** Of this rank; undefined where only the GPU knows. */
  readonly rows: number | undefined;
  /** Its part of what the operation moves at least, by rows: modelled. */
  readonly bytes: number;
  readonly beginNs: number;
  readonly ns: number;
  readonly source: RankSource;
}

export interface RankTime {
  readonly stage: number;
  readonly rank: number;
  readonly computeNs: number;
  /** Nothing of it is hidden: a rank does one thing at a time. */
  readonly communicationNs: number;
  /** Clocks without a micro-batch for its stage. */
  readonly bubbleNs: number;
  /** Waits for slower ranks or stages. */
  readonly idleNs: number;
  readonly source: RankSource;
}

export interface VirtualCluster {
  readonly wallNs: number;
  /** In order of stages, ranks and time. */
  readonly slices: readonly RankSlice[];
  /** The slowest first: the most compute and communication. */
  readonly ranks: readonly RankTime[];
}

const COMMUNICATION = new Set(['reduce-scatter', 'all-gather', 'all-to-all', 'send']);

export function isCommunication(operation: string): boolean {
  return COMMUNICATION.has(operation);
}

interface Operation {
  readonly tag: StepSpan;
  /** By rank of the stage. */
  readonly ns: number[];
  readonly rowsOf: readonly number[] | undefined;
  source: RankSource;
}

/** @param step with `expertRows`, of this step or of one that was given the same, experts are split by their rows too. */
export function virtualCluster(step: Pick<StepResult, 'spans' | 'expertRows'>): VirtualCluster {
  const { spans } = step;
  const works = worksOf(step);
  const tags = spans.map(({ tag }) => tag);
  const numStages =
    1 +
    maxOf(
      tags.map(({ stage }) => stage),
      -1,
    );
  const numBatches =
    1 +
    maxOf(
      tags.map(({ microBatch }) => microBatch),
      -1,
    );
  const numRanks = maxOf(
    tags.map(({ ranks }) => ranks.first + ranks.count),
    0,
  );
  const longest = (operations: readonly Operation[]): number => sum(operations.map(({ ns }) => maxOf(ns)));
  const clocks = range(Math.max(0, numStages + numBatches - 1)).map((clock) =>
    range(numStages).map((stage) => works.get(`${stage}/${clock - stage}`) ?? []),
  );
  const lengths = clocks.map((stages) => maxOf(stages.map(longest), 0));
  const wallNs = sum(lengths);
  const slices: RankSlice[] = [];
  const ranks: RankTime[] = [];
  for (const stage of range(numStages)) {
    for (const rank of range(numRanks)) {
      let [computeNs, communicationNs, bubbleNs, clockNs] = [0, 0, 0, 0];
      let source: RankSource = 'measured';
      clocks.forEach((stages, clock) => {
        let beginNs = clockNs;
        const operations = at(stages, stage);
        for (const { tag, ns, rowsOf, source: how } of operations) {
          const own = at(ns, rank);
          const { layer, operation, microBatch } = tag;
          if (own > 0) {
            const rows = rowsOf?.[rank - tag.ranks.first];
            const bytes =
              tag.bytes * (rows === undefined ? 1 / tag.ranks.count : rows / Math.max(1, tag.rows));
            const place = { stage, rank, microBatch, layer, operation, rows, bytes };
            slices.push({ ...place, beginNs, ns: own, source: how });
            source = weaker(how, source);
          }
          if (isCommunication(operation)) communicationNs += own;
          else computeNs += own;
          beginNs += maxOf(ns);
        }
        if (operations.length === 0) bubbleNs += at(lengths, clock);
        clockNs += at(lengths, clock);
      });
      const idleNs = Math.max(0, wallNs - computeNs - communicationNs - bubbleNs);
      ranks.push({ stage, rank, computeNs, communicationNs, bubbleNs, idleNs, source });
    }
  }
  const busyNs = (r: RankTime): number => r.computeNs + r.communicationNs;
  return { wallNs, slices, ranks: ranks.sort((a, b) => busyNs(b) - busyNs(a)) };
}

/** Operations of each stage's micro-batch, 'stage/micro-batch', in the order they were recorded. */
function worksOf({
  spans,
  expertRows = [],
}: Pick<StepResult, 'spans' | 'expertRows'>): Map<string, Operation[]> {
  const received = new Map(expertRows.map((own) => [placeOf(own), own.rows]));
  const works = new Map<string, Operation[]>();
  let last: Operation | undefined;
  for (const { tag, part, ns = 0 } of spans) {
    const rowsOf = tag.rowsOf ?? received.get(placeOf(tag));
    if (last?.tag !== tag) {
      const none = range(tag.ranks.first + tag.ranks.count).map(() => 0);
      last = { tag, ns: none, rowsOf, source: 'measured' };
      const key = `${tag.stage}/${tag.microBatch}`;
      const work = works.get(key);
      if (work === undefined) works.set(key, [last]);
      else work.push(last);
    }
    const { first, count } = (part as SpanPart | undefined)?.ranks ?? tag.ranks;
    const rows = range(count).map((i) =>
      rowsOf === undefined ? 1 : at(rowsOf, first + i - tag.ranks.first),
    );
    const all = sum(rows);
    if (count > 1) last.source = weaker(rowsOf === undefined ? 'assumed' : 'split', last.source);
    for (const i of range(count)) {
      const share = all === 0 ? 1 / count : at(rows, i) / all;
      last.ns[first + i] = at(last.ns, first + i) + ns * share;
    }
  }
  return works;
}

function placeOf({ stage, layer, microBatch }: Pick<StepSpan, 'stage' | 'layer' | 'microBatch'>): string {
  return `${stage}/${layer}/${microBatch}`;
}
