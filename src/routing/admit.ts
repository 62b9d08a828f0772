/**
 * Choices into slots under a capacity: the exact integers that a device must come to. T tokens and K choices of each of S
 * sources; P slots. Scores are only compared and added up.
 */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { at, maxOf, range, sum } from '../core/math.ts';
import { capacityOf, type CapacityRule, checkCapacity, requireName } from './capacity.ts';
import { checkChoices, type Choices, tokensOf } from './choices.ts';
import { DROPPED } from './dispatch-plan.ts';
import { askNextBest, askReplicas, type Row } from './overflow.ts';
import { type ExpertPlacement, requirePlacement } from './placement.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from './policies.ts';
import { type Deal, dealTable, dealtSlot } from './replicas.ts';

/** How a batch is admitted. */
export interface AdmitOptions {
  readonly policy: OverflowPolicy;
  /** Needed by every policy but `dropless`. With replicas, E of its formula counts slots. */
  readonly capacity?: CapacityRule | undefined;
  /** How rows are dealt to replicas; evenly when absent. */
  readonly deal?: Deal | undefined;
  /** What waits since the micro-batch before, in its order (`Admission.waiting`). */
  readonly waiting?: readonly WaitingRow[];
}

/** A row that a full expert left to the next micro-batch. */
export interface WaitingRow {
  readonly source: number;
  /** The slot that it waits for. */
  readonly slot: number;
  readonly score: number;
  /** How many micro-batches it has waited; 1 in the next. */
  readonly age: number;
  /** token * K + k of the micro-batch that it comes from. */
  readonly entry: number;
}

/** Where the rows of a batch go, and what became of those for which there was no room. */
export interface Admission {
  /** Per source u32 [T, K]: the slot of each choice, DROPPED where it has none (a waiting one included). */
  readonly slots_TK: readonly Uint32Array[];
  /** Per source [T, K]: what each choice weighs; 0 without a slot. */
  readonly scores_TK: readonly Float64Array[];
  /** Rows that come out of the queue into this micro-batch. */
  readonly admitted: readonly WaitingRow[];
  /** Rows for the next one. */
  readonly waiting: readonly WaitingRow[];
  /** [P]: rows that were dealt to each slot, before capacity; and that it takes. */
  readonly offered: readonly number[];
  readonly count: readonly number[];
  /** Most rows of a slot: of each source with scope `rank`, of all with `global`; Infinity without capacity. */
  readonly capacity: readonly number[];
  readonly rows: {
    readonly offered: number;
    readonly kept: number;
    readonly dropped: number;
    /** Kept by another slot than they were dealt to. */
    readonly moved: number;
  };
  /** Sums of router scores. `lost` is what dropped rows, and moved ones by a lower score, take away; what waits is not lost. */
  readonly mass: { readonly offered: number; readonly lost: number };
}

/**
 * Finds a slot for every choice of a batch, or by the policy what becomes of it.
 * @param sources what each source rank chose; they may differ in tokens and have none.
 * @throws ConfigError for choices, a policy or a capacity that are not valid.
 */
export function admit(
  sources: readonly Choices[],
  placement: ExpertPlacement,
  options: AdmitOptions,
): Admission {
  requireGiven('The sources', sources, 'list');
  requirePlacement(placement);
  requireFields('The policy', options, {
    policy: 'string',
    capacity: 'record?',
    deal: 'record?',
    waiting: 'list?',
  });
  const { policy, capacity: rule, deal = dealTable(placement), waiting = [] } = options;
  requireName('overflow policy', policy, OVERFLOW_POLICIES);
  if (policy !== 'dropless' && rule === undefined) {
    throw new ConfigError(`the policy ${policy} needs a capacity; give one, or take dropless.`);
  }
  if (rule !== undefined) checkCapacity(rule);
  sources.forEach((choices, source) => {
    checkChoices(choices, source);
    if (choices.numExperts === placement.numExperts) return;
    throw new ConfigError(
      `source ${source} chose of ${choices.numExperts} experts, and ${placement.numExperts} are placed; they must be as many.`,
    );
  });
  const rows = sources.map((choices, source) => dealtRows(choices, source, sources.length, deal));
  const groups = rule?.scope === 'rank' ? range(sources.length).map((s) => [s]) : [range(sources.length)];
  const state: State = {
    placement,
    sources,
    slots_TK: sources.map(({ ids_TK }) => new Uint32Array(ids_TK.length).fill(DROPPED)),
    scores_TK: sources.map(({ ids_TK }) => new Float64Array(ids_TK.length)),
    count: range(placement.numSlots).map(() => 0),
    admitted: [],
    waiting: [],
    moved: 0,
  };
  const capacity = groups.map((group) => {
    const own = group.flatMap((s) => at(rows, s));
    const most = policy === 'dropless' ? Infinity : mostRows(rule, placement, sources, group, own);
    const queue = waiting.filter(({ source }) => group.includes(source));
    admitGroup(state, own, queue, policy, most);
    return most;
  });
  return resultOf(state, rows.flat(), capacity);
}

interface State {
  readonly placement: ExpertPlacement;
  readonly sources: readonly Choices[];
  readonly slots_TK: Uint32Array[];
  readonly scores_TK: Float64Array[];
  readonly count: number[];
  readonly admitted: WaitingRow[];
  readonly waiting: WaitingRow[];
  moved: number;
}

/** In the order of positions. */
function dealtRows(choices: Choices, source: number, numSources: number, deal: Deal): Row[] {
  const { ids_TK, scores_TK, topK, numExperts } = choices;
  const next = range(numExperts).map(() => 0);
  const rows: Row[] = [];
  for (let entry = 0; entry < ids_TK.length; entry++) {
    const expert = at(ids_TK, entry);
    if (expert === DROPPED) continue;
    const index = at(next, expert);
    next[expert] = index + 1;
    const slot = dealtSlot(deal, expert, index, source, numSources);
    rows.push({ source, entry, token: Math.floor(entry / topK), slot, score: at(scores_TK, entry) });
  }
  return rows;
}

function mostRows(
  rule: CapacityRule | undefined,
  { numSlots }: ExpertPlacement,
  sources: readonly Choices[],
  group: readonly number[],
  rows: readonly Row[],
): number {
  if (rule === undefined) return Infinity;
  const offered = range(numSlots).map(() => 0);
  for (const { slot } of rows) offered[slot] = at(offered, slot) + 1;
  return capacityOf(rule, {
    numTokens: sum(group.map((s) => tokensOf(at(sources, s)))),
    topK: sources[0]?.topK ?? 1,
    numExperts: numSlots,
    fullest: maxOf(offered, 0),
  });
}

function admitGroup(
  state: State,
  rows: readonly Row[],
  queue: readonly WaitingRow[],
  policy: OverflowPolicy,
  capacity: number,
): void {
  const room = range(state.placement.numSlots).map(() => capacity);
  const take = (slot: number): boolean => {
    if (at(room, slot) <= 0) return false;
    room[slot] = at(room, slot) - 1;
    state.count[slot] = at(state.count, slot) + 1;
    return true;
  };
  for (const row of queue) {
    if (take(row.slot)) state.admitted.push(row);
    else state.waiting.push({ ...row, age: row.age + 1 });
  }
  const place = (row: Row, slot: number, score: number): void => {
    at(state.slots_TK, row.source)[row.entry] = slot;
    at(state.scores_TK, row.source)[row.entry] = score;
    if (slot !== row.slot) state.moved += 1;
  };
  const ordered = policy === 'drop-score' ? [...rows].sort((a, b) => b.score - a.score) : rows;
  const left = ordered.filter((row) => {
    const taken = take(row.slot);
    if (taken) place(row, row.slot, row.score);
    return !taken;
  });
  if (policy === 'spill') askReplicas(left, state.placement, take, place);
  if (policy === 'next-best') askNextBest(left, state.sources, state.placement, take, place);
  if (policy === 'carry') {
    for (const { source, slot, score, entry } of left) {
      state.waiting.push({ source, slot, score, entry, age: 1 });
    }
  }
}

function resultOf(state: State, rows: readonly Row[], capacity: readonly number[]): Admission {
  const { slots_TK, scores_TK, count, admitted, waiting, moved } = state;
  const offered = count.map(() => 0);
  for (const { slot } of rows) offered[slot] = at(offered, slot) + 1;
  const kept = sum(slots_TK.map((slots) => slots.reduce((n, slot) => n + (slot === DROPPED ? 0 : 1), 0)));
  const fresh = waiting.filter(({ age }) => age === 1);
  const waits = new Set(fresh.map(({ source, entry }) => `${source} ${entry}`));
  let lost = 0;
  for (const { source, entry, score } of rows) {
    if (!waits.has(`${source} ${entry}`)) lost += score - at(at(scores_TK, source), entry);
  }
  return {
    ...{ slots_TK, scores_TK, admitted, waiting, offered, count, capacity },
    rows: { offered: rows.length, kept, dropped: rows.length - kept - fresh.length, moved },
    mass: { offered: sum(rows.map(({ score }) => score)), lost },
  };
}

/** Micro-batches one after the other, so that `carry` has where to carry to. What waits at the end counts as dropped. */
export function admitAll(
  microBatches: readonly (readonly Choices[])[],
  placement: ExpertPlacement,
  options: AdmitOptions,
): { readonly admissions: readonly Admission[]; readonly left: readonly WaitingRow[] } {
  requireGiven('The micro-batches', microBatches, 'list');
  requireGiven('The policy', options, 'record');
  let waiting = options.waiting ?? [];
  const admissions = microBatches.map((sources) => {
    const admission = admit(sources, placement, { ...options, waiting });
    waiting = admission.waiting;
    return admission;
  });
  return { admissions, left: waiting };
}
