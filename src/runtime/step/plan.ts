/**
 * The plan of one forward step: which sequences run in which micro-batch on which attention group, and the tables
 * that kernels read. Integers only.
 */
import { ConfigError } from '../../core/errors.ts';
import { at, balancedRun, maxOf, range, sum } from '../../core/math.ts';
import type { Layout, Run } from '../../layout/layout.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';

/** New tokens of one sequence. */
export interface Request {
  /** The sequence's number, in [0, maxSequences). */
  readonly sequence: number;
  readonly ids: readonly number[];
}

/** One sequence's part of a step. */
export interface SequenceStep {
  /** Index of the request. */
  readonly request: number;
  readonly ids: readonly number[];
  /** Position of its first new token. */
  readonly past: number;
  /** Which part of its group's KV cache it owns. */
  readonly slot: number;
}

/** What one attention group does in one micro-batch. */
export interface GroupStep {
  readonly sequences: readonly SequenceStep[];
  readonly numTokens: number;
  readonly maxQueries: number;
}

/** Per attention group. */
export type MicroBatch = readonly GroupStep[];

/**
 * Deals the requests to the attention groups and cuts every group's share into micro-batches: as many as wanted,
 * or more where the tokens of one would exceed `maxTokens`.
 * Example: 4 sequences of 3 tokens on 2 groups with 2 wanted -> two micro-batches, one sequence per group in each.
 * @throws ConfigError for a sequence that is unknown, named twice, empty, too long, or too long for one micro-batch.
 */
export function planStep(
  z: RankSizes,
  requests: readonly Request[],
  pastOf: (sequence: number) => number,
  wanted: number,
): MicroBatch[] {
  checkRequests(z, requests, pastOf);
  const groups = range(z.numGroups).map((group): SequenceStep[] =>
    requests.flatMap((r, request) =>
      r.sequence % z.numGroups === group
        ? [{ request, ids: r.ids, past: pastOf(r.sequence), slot: Math.floor(r.sequence / z.numGroups) }]
        : [],
    ),
  );
  const cut = groups.map((steps) => cutGroup(steps, wanted, z.maxTokens));
  const count = maxOf(cut.map((parts) => parts.length));
  return range(count).map((m) => cut.map((parts) => groupStep(parts[m] ?? [])));
}

function checkRequests(
  z: RankSizes,
  requests: readonly Request[],
  pastOf: (sequence: number) => number,
): void {
  if (requests.length === 0) throw new ConfigError('A step needs at least one request.');
  const seen = new Set<number>();
  for (const { sequence, ids } of requests) {
    if (!Number.isInteger(sequence) || sequence < 0 || sequence >= z.maxSequences) {
      throw new ConfigError(
        `Sequence ${sequence} is outside of 0..${z.maxSequences - 1}; raise maxSequences.`,
      );
    }
    if (seen.has(sequence))
      throw new ConfigError(`Sequence ${sequence} is named twice in one step; join its tokens.`);
    seen.add(sequence);
    if (ids.length === 0)
      throw new ConfigError(`Sequence ${sequence} has no tokens in this step; leave it out.`);
    const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= z.vocabSize);
    if (wrong !== undefined)
      throw new ConfigError(`Token ${wrong} is outside of the vocabulary 0..${z.vocabSize - 1}.`);
    const length = pastOf(sequence) + ids.length;
    if (length > z.maxLength) {
      throw new ConfigError(
        `Sequence ${sequence} would have ${length} positions; maxLength is ${z.maxLength}.`,
      );
    }
    if (ids.length > z.maxTokens) {
      throw new ConfigError(
        `Sequence ${sequence} brings ${ids.length} tokens; a micro-batch holds ${z.maxTokens} per attention group. ` +
          `Raise maxTokens or feed the prompt in pieces.`,
      );
    }
  }
}

/** Runs of sequences in order: balanced by count, closed early when the next one would not fit. */
function cutGroup(steps: readonly SequenceStep[], wanted: number, maxTokens: number): SequenceStep[][] {
  if (steps.length === 0) return [];
  const parts = Math.min(wanted, steps.length);
  return range(parts).flatMap((part) => {
    const [first, count] = balancedRun(steps.length, parts, part);
    const batches: SequenceStep[][] = [[]];
    let tokens = 0;
    for (const step of steps.slice(first, first + count)) {
      if (tokens + step.ids.length > maxTokens) {
        batches.push([]);
        tokens = 0;
      }
      at(batches, batches.length - 1).push(step);
      tokens += step.ids.length;
    }
    return batches;
  });
}

function groupStep(sequences: readonly SequenceStep[]): GroupStep {
  return {
    sequences,
    numTokens: sum(sequences.map((s) => s.ids.length)),
    maxQueries: maxOf(
      sequences.map((s) => s.ids.length),
      0,
    ),
  };
}

/** What one rank of a stage does in one micro-batch. Ranks are numbered within the stage: replica * ep + e. */
export interface RankLoad {
  readonly group: number;
  readonly tp: number;
  readonly numTokens: number;
  /** Rows of its group that it keeps between reduce-scatter and all-gather. */
  readonly share: Run;
}

export function rankLoads(layout: Layout, z: RankSizes, batch: MicroBatch): RankLoad[] {
  const { tp } = layout.spec;
  return range(z.numRanks).map((rank) => {
    const group = Math.floor(rank / tp);
    const { numTokens } = at(batch, group);
    return { group, tp: rank % tp, numTokens, share: layout.tokensOf(numTokens, rank % tp) };
  });
}

/** The shortest run outside of which all are 0, so that collectives leave those out: [0, 3, 0, 1, 0] -> 1, 2, 3. */
export function busyRun(counts: readonly number[]): Run {
  const busy = range(counts.length).filter((i) => at(counts, i) > 0);
  const first = busy[0] ?? 0;
  return { first, count: busy.length === 0 ? 0 : at(busy, busy.length - 1) - first + 1 };
}

/** Rows of the logits that each group computes, as indices into its tokens: the last of every sequence, or all. */
export function logitRows(step: GroupStep, which: 'last' | 'all'): number[] {
  if (which === 'all') return range(step.numTokens);
  let end = 0;
  return step.sequences.map((s) => (end += s.ids.length) - 1);
}

/** One group's tables: token ids, (position, cache row) per token, (first q row, qLen, kvLen, slot) per sequence. */
export function groupTables(
  step: GroupStep,
  maxLength: number,
): { ids: number[]; place: number[]; sequences: number[] } {
  const ids: number[] = [];
  const place: number[] = [];
  const sequences: number[] = [];
  for (const s of step.sequences) {
    sequences.push(ids.length, s.ids.length, s.past + s.ids.length, s.slot);
    s.ids.forEach((id, i) => {
      ids.push(id);
      place.push(s.past + i, s.slot * maxLength + s.past + i);
    });
  }
  return { ids, place, sequences };
}
