/** Slots under a capacity against the exact host functions of src/routing. S sources, T tokens, K choices, E experts, P slots. */
import { invariant } from '../../core/errors.ts';
import { admissionWords } from '../../core/plan-sizes.ts';
import { at, maxOf, range, sum } from '../../core/math.ts';
import type { DevicePolicy } from '../../core/overflow.ts';
import type { Random } from '../../core/random.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { prepareAdmit } from '../../kernels/routing/admit.ts';
import { admit } from '../../routing/admit.ts';
import type { CapacityRule } from '../../routing/capacity.ts';
import type { Choices } from '../../routing/choices.ts';
import { admissionLoads, deviceSlot, placeWords } from '../../routing/device-tables.ts';
import { DROPPED } from '../../routing/dispatch-plan.ts';
import { type ExpertPlacement, mostSlotsOfRank, placementOf } from '../../routing/placement.ts';
import { type Deal, dealTable, dealtSlot } from '../../routing/replicas.ts';
import type { OpBuffers } from '../../ops/op-buffers.ts';
import type { Budget } from '../../tensor/compare.ts';
import { f32Tensor } from '../../tensor/tensor.ts';
import type { Internal } from './internal-case.ts';

/** A batch of one group, and how it is admitted. */
export interface AdmissionBatch {
  readonly placement: ExpertPlacement;
  readonly deal: Deal;
  readonly topK: number;
  readonly policy: DevicePolicy;
  readonly capacity?: CapacityRule;
  readonly score: 'softmax' | 'sigmoid';
  /** Per source: [T, K] experts, f32 [T, E], f32 [T, K]. */
  readonly sources: readonly {
    readonly ids: Uint32Array;
    readonly logits: Float32Array;
    readonly scores: Float32Array;
  }[];
  /** Some scores of the device are no numbers, which the account is to tell: nothing else hangs on them. */
  readonly isEndless?: boolean;
}

/** Scores of all experts as the host knows them: in order as the logits are. */
function scoresOf(logits: Float32Array, numExperts: number, score: 'softmax' | 'sigmoid'): Float64Array {
  const all = Float64Array.from(logits);
  if (score === 'sigmoid') return all.map((logit) => 1 / (1 + Math.exp(-logit)));
  for (let first = 0; first < all.length; first += numExperts) {
    const shares = all.subarray(first, first + numExperts).map(Math.exp);
    all.set(
      shares.map((share) => share / sum([...shares])),
      first,
    );
  }
  return all;
}

/** Of entries of every fifth token from the second on, where any are. */
const isEndless = (entry: number, topK: number): boolean => Math.floor(entry / topK) % 5 === 1;

/** Roundings of a next-best weight: two exponentials, sums of K, a quotient and a product. Generous. */
const NEXT_BEST = 64 * 2 ** -24;

/** What the host makes of a batch, and how the device computes it. */
export function admission(batch: AdmissionBatch): Internal {
  const { placement, deal, topK, policy, capacity, score, sources, isEndless: hasEndless = false } = batch;
  const { numExperts, numRanks } = placement;
  const choices = sources.map(({ ids, logits, scores }): Choices => ({
    ...{ numExperts, topK, ids_TK: ids, scores_TK: scores },
    all_TE: scoresOf(logits, numExperts, score),
  }));
  const wanted = admit(choices, placement, { policy, capacity, deal });
  const numSlots = numRanks * mostSlotsOfRank(placement);
  const onDevice = (slot: number): number => (slot === DROPPED ? DROPPED : deviceSlot(placement, slot));
  const slots = wanted.slots_TK.map((own) => [...own].map(onDevice));
  const dealt = sources.map(({ ids }, source) =>
    dealtSlots(ids, numExperts, deal, source, sources.length).map(onDevice),
  );
  const hasNoEnd = (entry: number): boolean => hasEndless && isEndless(entry, topK);
  const scores = wanted.scores_TK.flatMap((own) =>
    [...own].map((one, entry) => (one > 0 && hasNoEnd(entry) ? Infinity : one)),
  );
  const counted = (lists: readonly (readonly number[])[], source: number): number[] => {
    // One capacity for all has one account, in the part of the first.
    const all = policy === 'dropless' || capacity?.scope === 'global';
    const own = all ? (source === 0 ? lists.flat() : []) : at(lists, source);
    return range(numSlots).map((slot) => own.filter((one) => one === slot).length);
  };
  const counters = sources.map(({ ids }, source) => {
    const [own, asked] = [at(slots, source), at(dealt, source)];
    return [
      ...range(numExperts).map((e) => ids.filter((id) => id === e).length),
      ...counted(dealt, source),
      ...counted(slots, source),
      ids.filter((id) => id !== DROPPED).length,
      own.filter((slot) => slot !== DROPPED).length,
      own.filter((slot, i) => slot !== DROPPED && slot !== asked[i]).length,
      Math.floor(ids.findIndex((id, entry) => id !== DROPPED && hasNoEnd(entry)) / topK) + 1,
    ];
  });
  const rowsOf = (from: number): number => sum(counters.map((own) => at(own, own.length - from)));
  const { offered, kept, moved } = wanted.rows;
  invariant(
    rowsOf(4) === offered && rowsOf(3) === kept && rowsOf(2) === moved,
    () => 'the host counts otherwise',
  );
  const mass = sources.map(({ ids, scores: given }, source) => {
    const there = range(ids.length).filter((i) => ids[i] !== DROPPED);
    const after = at(wanted.scores_TK, source);
    return [sum(there.map((i) => at(given, i))), sum(there.map((i) => at(given, i) - at(after, i)))];
  });
  const near = (values: readonly number[], allowed: (value: number) => number): Budget => ({
    perElement: Float64Array.from(values, allowed),
  });
  const slack = wanted.mass.offered === 0 ? 0 : 2 ** -16 * (1 + wanted.mass.offered);
  return {
    expected: {
      slots: { values: slots.flat(), shape: [scores.length] },
      scores: {
        ...{ values: scores, shape: [scores.length] },
        budget: near(scores, (value) => (policy === 'next-best' ? NEXT_BEST * value : 0)),
      },
      counters: { values: counters.flat(), shape: [sources.length, at(counters, 0).length] },
      ...(!hasEndless && {
        mass: { values: mass.flat(), shape: [sources.length, 2], budget: near(mass.flat(), () => slack) },
      }),
    },
    bytes: 24 * scores.length,
    prepare: (space) => prepareAdmission(space, batch, numSlots),
  };
}

/** Parts of ranks in one buffer each, and outputs without what lies between them. */
async function prepareAdmission(
  space: OpBuffers,
  { placement, deal, topK, policy, capacity, score, sources, isEndless: hasEndless = false }: AdmissionBatch,
  numSlots: number,
): Promise<(commands: CommandList) => void> {
  const { numExperts } = placement;
  const scope = capacity?.scope ?? 'global';
  const tokens = sources.map(({ ids }) => ids.length / topK);
  // Ranks that lie in the group in another order than on the device.
  const members = range(sources.length).map((s) => sources.length - 1 - s);
  const of = <T>(list: readonly T[], rank: number): T => at(list, sources.length - 1 - rank);
  const mostTokens = Math.max(1, maxOf(tokens));
  const mostChoices = mostTokens * topK;
  const stride = mostChoices + 3;
  const workStride = admissionWords({ numExperts, numSlots, topK, mostChoices });
  const filled = <A extends Uint32Array | Float32Array>(
    all: A,
    each: number,
    part: (rank: number) => A,
  ): A => {
    for (const rank of range(sources.length)) all.set(part(rank), rank * each);
    return all;
  };
  const parts = sources.length * stride;
  const given = filled(new Float32Array(parts), stride, (rank) =>
    of(sources, rank).scores.map((one, entry) => (hasEndless && isEndless(entry, topK) ? Infinity : one)),
  );
  // Any number that is no expert's is a dropped choice.
  const onDevice = (id: number, i: number): number => (id === DROPPED && i % 2 === 0 ? numExperts + i : id);
  const ids = filled(new Uint32Array(parts), stride, (rank) => of(sources, rank).ids.map(onDevice));
  const logitStride = mostTokens * numExperts;
  const logits = filled(
    new Float32Array(sources.length * logitStride),
    logitStride,
    (r) => of(sources, r).logits,
  );
  const loads = admissionLoads(
    { policy, rule: capacity },
    placement,
    topK,
    [members],
    range(sources.length).map((r) => of(tokens, r)),
  );
  const kernel = await prepareAdmit(space.gpu, {
    ...{ numExperts, numSlots, topK, policy, score, turns: deal.turns },
    scope: policy === 'dropless' ? 'global' : scope,
  });
  const original = space.activation('scores given', f32Tensor([parts], given));
  const t = {
    members: space.integers('members', Uint32Array.from(members)),
    loads: space.integers('loads of ranks', loads),
    places: space.integers('places', placeWords(placement, deal)),
    ids: { buffer: space.integers('ids', ids), stride },
    logits: { buffer: space.activation('logits', f32Tensor([logits.length], logits)), stride: logitStride },
    scores: { buffer: space.scratch('score parts', parts), stride },
    slots: { buffer: space.scratch('slot parts', parts), stride },
    work: { buffer: space.scratch('work', sources.length * workStride), stride: workStride },
  };
  const choices = topK * sum(tokens);
  const counters = numExperts + 2 * numSlots + 4;
  const out = {
    slots: space.output('slots', [choices], 'u32'),
    scores: space.output('scores', [choices], 'f32'),
    counters: space.output('counters', [sources.length, counters], 'u32'),
    mass: space.output('mass', [sources.length, 2], 'f32'),
  };
  return (commands) => {
    commands.copy(original, t.scores.buffer, 4 * parts);
    commands.clear(t.work.buffer.view(0, 4 * sources.length * workStride));
    kernel.record(commands, { firstMember: 0, groupSize: sources.length }, t, mostChoices);
    let row = 0;
    members.forEach((rank, s) => {
      const take = (from: GpuBuffer, first: number, to: GpuBuffer, at: number, words: number): void => {
        if (words > 0) commands.copy(from.view(4 * first, 4 * words), to.view(4 * at, 4 * words), 4 * words);
      };
      const own = at(sources, s).ids.length;
      take(t.slots.buffer, rank * stride, out.slots, row, own);
      take(t.scores.buffer, rank * stride, out.scores, row, own);
      take(t.work.buffer, rank * workStride, out.counters, s * counters, counters);
      take(t.work.buffer, rank * workStride + counters, out.mass, 2 * s, 2);
      row += own;
    });
  };
}

/** The slot that every choice is dealt to. */
function dealtSlots(
  ids: Uint32Array,
  numExperts: number,
  deal: Deal,
  source: number,
  sources: number,
): number[] {
  const next = range(numExperts).map(() => 0);
  return [...ids].map((id) => {
    if (id === DROPPED) return DROPPED;
    const index = at(next, id);
    next[id] = index + 1;
    return dealtSlot(deal, id, index, source, sources);
  });
}

/** What is drawn at random: see `randomBatch`. */
export interface BatchSizes {
  readonly numExperts: number;
  readonly topK: number;
  readonly numRanks: number;
  /** Of each source at most. */
  readonly tokens: number;
  /** Slots beyond one an expert. */
  readonly replicas: number;
  readonly policy: DevicePolicy;
  readonly capacity?: CapacityRule;
  readonly score?: 'softmax' | 'sigmoid';
  readonly isEndless?: boolean;
}

/**
 * A batch with everything that can be: replicas anywhere, ranks with unequal numbers of slots or none, sources without tokens,
 * popular experts, equal scores, choices that were dropped before.
 */
export function randomBatch(random: Random, sizes: BatchSizes): AdmissionBatch {
  const { numExperts, topK, numRanks, replicas, policy, capacity, score = 'softmax' } = sizes;
  const { isEndless: hasEndless = false } = sizes;
  const ofRank = range(numRanks).map((): number[] => []);
  const held = [...range(numExperts), ...range(replicas).map(() => random.integer(numExperts))];
  for (const expert of held) at(ofRank, random.integer(numRanks)).push(expert);
  const placement = placementOf(ofRank, numExperts);
  const shares = placement.slotsOfExpert.map((slots): number[] =>
    slots.map(() => random.integer(3) + (slots.length === 1 ? 1 : 0)),
  );
  shares.forEach((own) => own.every((share) => share < 1) && own.fill(1));
  const coarse = random.integer(2) === 0;
  const sources = range(numRanks).map(() => {
    const tokens = random.integer(3) === 0 ? 0 : random.integer(sizes.tokens + 1);
    const logits = new Float32Array(tokens * numExperts);
    const ids = new Uint32Array(tokens * topK);
    const scores = new Float32Array(tokens * topK);
    for (const t of range(tokens)) {
      // A softmax knows differences within a row only: those of its neighbours are far off.
      const shift = score === 'softmax' ? 200 * (t % 2) : 0;
      const own = range(numExperts).map((e) => random.normal() - e / 3 + shift);
      logits.set(
        own.map((logit) => (coarse ? Math.round(2 * logit) / 2 : logit)),
        t * numExperts,
      );
      const all = scoresOf(logits.slice(t * numExperts, (t + 1) * numExperts), numExperts, score);
      const best = range(numExperts).sort((a, b) => at(all, b) - at(all, a) || a - b);
      for (const k of range(topK)) {
        ids[t * topK + k] = random.integer(12) === 0 ? DROPPED : at(best, k);
        scores[t * topK + k] = at(all, at(best, k));
      }
    }
    return { ids, logits, scores };
  });
  const deal = dealTable(placement, shares, 1 + random.integer(7));
  const others = { isEndless: hasEndless, ...(capacity && { capacity }) };
  return { placement, deal, topK, policy, score, sources, ...others };
}
