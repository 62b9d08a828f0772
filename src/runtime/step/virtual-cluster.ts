/**
 * A step as it would go with every rank on a device of its own: at clock t stage s works on micro-batch t - s, and ranks of
 * a stage meet after each operation. A rank's own passes are measured; a pass that served several ranks is split by their
 * rows. Where only the GPU knows those, as of experts whose choice was not traced, equal parts are assumed. Links cost
 * nothing, or what a model of them says.
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

/** What a rank waits for links when the ranks of its stage have done an operation: modelled. */
export interface LinkWait {
  readonly ns: number;
  /** That it sends. */
  readonly bytes: number;
}

/**
 * By rank of the stage; empty where an operation sends nothing.
 * @param expertRows that each rank's experts receive, where they were traced.
 */
export type LinkModel = (tag: StepSpan, expertRows: readonly number[] | undefined) => readonly LinkWait[];

/** One operation of one rank, or its wait for links after it. Times count from the begin of the first step. */
export interface RankSlice {
  /** Which step of several in a row. */
  readonly step: number;
  readonly stage: number;
  /** Of the stage: replica * ep + e. */
  readonly rank: number;
  readonly microBatch: number;
  readonly layer: number | undefined;
  readonly operation: string;
  /** Of this rank; undefined where only the GPU knows. */
  readonly rows: number | undefined;
  /** Its part of what the operation moves at least, by rows, or what it sends over links: modelled. */
  readonly bytes: number;
  readonly beginNs: number;
  readonly ns: number;
  /** `modelled`: links, after the operation of this name. */
  readonly source: RankSource | 'modelled';
}

export interface RankTime {
  readonly stage: number;
  readonly rank: number;
  readonly computeNs: number;
  /** Nothing of it is hidden: a rank does one thing at a time. */
  readonly communicationNs: number;
  /** Waits for links, modelled; absent without a model of them. */
  readonly linkNs?: number;
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
  readonly waits: readonly LinkWait[];
  source: RankSource;
}

/** With what the slowest rank of the stage takes for its passes and waits for links. */
interface Met extends Operation {
  readonly passesNs: number;
  readonly linksNs: number;
}

function met(operation: Operation): Met {
  const waits = operation.waits.map(({ ns }) => ns);
  return { ...operation, passesNs: maxOf(operation.ns), linksNs: maxOf(waits, 0) };
}

export interface ClusterOptions {
  /** Links are free when absent. */
  readonly links?: LinkModel | undefined;
  /** How many steps went before, and how long they took. */
  readonly step?: number;
  readonly startNs?: number;
}

/** @param result with `expertRows`, of this step or of one that was given the same, experts are split by their rows too. */
export function virtualCluster(
  result: Pick<StepResult, 'spans' | 'expertRows'>,
  { links, step = 0, startNs = 0 }: ClusterOptions = {},
): VirtualCluster {
  const { spans } = result;
  const works = worksOf(result, links);
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
  const longest = (operations: readonly Met[]): number =>
    sum(operations.map(({ passesNs, linksNs }) => passesNs + linksNs));
  const clocks = range(Math.max(0, numStages + numBatches - 1)).map((clock) =>
    range(numStages).map((stage) => {
      const work = works.get(`${stage}/${clock - stage}`) ?? [];
      return [...work, ...(stage + 1 < numStages ? handedOver(work, links) : [])].map(met);
    }),
  );
  const lengths = clocks.map((stages) => maxOf(stages.map(longest), 0));
  const wallNs = sum(lengths);
  const slices: RankSlice[] = [];
  // There may be a hundred thousand: one literal each.
  const push = (
    { stage, microBatch, layer, operation }: StepSpan,
    rank: number,
    { rows, bytes, beginNs, ns, source }: Pick<RankSlice, 'rows' | 'bytes' | 'beginNs' | 'ns' | 'source'>,
  ): void => {
    slices.push({ step, stage, rank, microBatch, layer, operation, rows, bytes, beginNs, ns, source });
  };
  const ranks: RankTime[] = [];
  for (const stage of range(numStages)) {
    for (const rank of range(numRanks)) {
      let [computeNs, communicationNs, linkNs, bubbleNs, clockNs] = [0, 0, 0, 0, startNs];
      let source: RankSource = 'measured';
      clocks.forEach((stages, clock) => {
        let beginNs = clockNs;
        const operations = at(stages, stage);
        for (const { tag, ns, rowsOf, waits, passesNs, linksNs, source: how } of operations) {
          const own = at(ns, rank);
          if (own > 0) {
            const rows = rowsOf?.[rank - tag.ranks.first];
            const bytes =
              tag.bytes * (rows === undefined ? 1 / tag.ranks.count : rows / Math.max(1, tag.rows));
            push(tag, rank, { rows, bytes, beginNs, ns: own, source: how });
            source = weaker(how, source);
          }
          if (isCommunication(tag.operation)) communicationNs += own;
          else computeNs += own;
          beginNs += passesNs;
          const wait = waits[rank - tag.ranks.first];
          if (wait !== undefined && wait.ns > 0) {
            const { ns: waitNs, bytes } = wait;
            push(tag, rank, { rows: undefined, bytes, beginNs, ns: waitNs, source: 'modelled' });
            linkNs += waitNs;
          }
          beginNs += linksNs;
        }
        if (operations.length === 0) bubbleNs += at(lengths, clock);
        clockNs += at(lengths, clock);
      });
      const rest = wallNs - computeNs - communicationNs - linkNs - bubbleNs;
      // What is left over of sums of fractions is nothing.
      const idleNs = rest > 1e-9 * wallNs ? rest : 0;
      const ofLinks = links === undefined ? {} : { linkNs };
      ranks.push({ stage, rank, computeNs, communicationNs, ...ofLinks, bubbleNs, idleNs, source });
    }
  }
  const busyNs = (r: RankTime): number => r.computeNs + r.communicationNs;
  return { wallNs, slices, ranks: ranks.sort((a, b) => busyNs(b) - busyNs(a)) };
}

/** What a stage does for one micro-batch of a step, as its slowest ranks let it. Times count as those of slices. */
export interface StageSlot {
  readonly step: number;
  readonly stage: number;
  readonly microBatch: number;
  readonly beginNs: number;
  readonly ns: number;
}

/** In order of stages and time. */
export function slotsOf({ slices }: Pick<VirtualCluster, 'slices'>): StageSlot[] {
  const slots = new Map<string, { -readonly [K in keyof StageSlot]: StageSlot[K] }>();
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

/** On one device rows are handed to the next stage without a pass. */
function handedOver(work: readonly Operation[], links: LinkModel | undefined): Operation[] {
  const last = work.at(-1);
  if (last === undefined || links === undefined || last.tag.operation === 'send') return [];
  const byRank = work.flatMap(({ tag: { rowsOf } }) => (rowsOf === undefined ? [] : [rowsOf]));
  // A rank hands over all rows of its TP group, of which some operations have its share only.
  const rowsOf = last.ns.map((_, rank) =>
    maxOf(
      byRank.map((rows) => rows[rank] ?? 0),
      0,
    ),
  );
  const tag = { ...last.tag, layer: undefined, operation: 'send', rows: sum(rowsOf), rowsOf };
  return [{ tag, ns: rowsOf.map(() => 0), rowsOf, waits: links(tag, undefined), source: 'measured' }];
}

/** Operations of each stage's micro-batch, 'stage/micro-batch', in the order they were recorded. */
function worksOf(
  { spans, expertRows = [] }: Pick<StepResult, 'spans' | 'expertRows'>,
  links: LinkModel | undefined,
): Map<string, Operation[]> {
  const received = new Map(expertRows.map((own) => [placeOf(own), own.rows]));
  const works = new Map<string, Operation[]>();
  let last: Operation | undefined;
  for (const { tag, part, ns = 0 } of spans) {
    const expertsHave = received.get(placeOf(tag));
    const rowsOf = tag.rowsOf ?? expertsHave;
    if (last?.tag !== tag) {
      const none = range(tag.ranks.first + tag.ranks.count).map(() => 0);
      last = { tag, ns: none, rowsOf, waits: links?.(tag, expertsHave) ?? [], source: 'measured' };
      const key = `${tag.stage}/${tag.microBatch}`;
      const work = works.get(key);
      if (work === undefined) works.set(key, [last]);
      else work.push(last);
    }
    const { first, count: whole } = tag.ranks;
    const ranks = (part as SpanPart | undefined)?.ranks ?? range(whole).map((i) => first + i);
    const rows = ranks.map((rank) => (rowsOf === undefined ? 1 : at(rowsOf, rank - first)));
    const all = sum(rows);
    if (ranks.length > 1) last.source = weaker(rowsOf === undefined ? 'assumed' : 'split', last.source);
    for (const [i, rank] of ranks.entries()) {
      const share = all === 0 ? 1 / ranks.length : at(rows, i) / all;
      last.ns[rank] = at(last.ns, rank) + ns * share;
    }
  }
  return works;
}

function placeOf({ stage, layer, microBatch }: Pick<StepSpan, 'stage' | 'layer' | 'microBatch'>): string {
  return `${stage}/${layer}/${microBatch}`;
}
