/** What a kernel reads of a placement, of a capacity and of the batch. Slots are numbered as if all ranks had as many as the fullest. */
import { at, range } from '../core/math.ts';
import { type CapacityRule, capacityOf } from './capacity.ts';
import { type ExpertPlacement, mostSlotsOfRank } from './placement.ts';
import type { OverflowPolicy } from './policies.ts';
import type { Deal } from './replicas.ts';

/** A placement's slot by the number that it has on a device: ranks of 3 and 2 slots have 0-2 and 3-4 on both; of 2 and 3: 0-1 and 3-5. */
export function deviceSlot(placement: ExpertPlacement, slot: number): number {
  const rank = at(placement.rankOfSlot, slot);
  return rank * mostSlotsOfRank(placement) + slot - at(placement.firstSlot, rank);
}

/** u32: of every expert the slots by turns [E, turns]; [E + 1] where its replicas begin in the list of all; that list. */
export function placeWords(placement: ExpertPlacement, { turns, slot_ET }: Deal): Uint32Array<ArrayBuffer> {
  const { numExperts, numSlots, slotsOfExpert } = placement;
  const onDevice = range(numSlots).map((slot) => deviceSlot(placement, slot));
  const words = new Uint32Array(placeWordCount(placement, turns));
  slot_ET.forEach((slot, i) => (words[i] = at(onDevice, slot)));
  let first = 0;
  slotsOfExpert.forEach((slots, expert) => {
    words[numExperts * turns + expert] = first;
    words.set(
      slots.map((slot) => at(onDevice, slot)),
      numExperts * (turns + 1) + 1 + first,
    );
    first += slots.length;
  });
  words[numExperts * (turns + 1)] = first;
  return words;
}

export function placeWordCount({ numExperts, numSlots }: ExpertPlacement, turns: number): number {
  return numExperts * (turns + 1) + 1 + numSlots;
}

/** How the choices of a group are admitted; with the numbers of `admit`. */
export interface AdmissionRule {
  readonly policy: OverflowPolicy;
  /** Needed by every policy but `dropless`. */
  readonly rule?: CapacityRule | undefined;
}

/**
 * 4 u32 per rank: its tokens, the capacity of a slot, 1 where the fullest slot's rows are a bound besides, 0.
 * @param groups ranks that are admitted together. @param tokens of every rank.
 */
export function admissionLoads(
  { policy, rule }: AdmissionRule,
  { numSlots }: ExpertPlacement,
  topK: number,
  groups: readonly (readonly number[])[],
  tokens: readonly number[],
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(4 * tokens.length);
  for (const group of groups) {
    const all = group.reduce((total, rank) => total + at(tokens, rank), 0);
    for (const rank of group) {
      const numTokens = rule?.scope === 'rank' ? at(tokens, rank) : all;
      const bounded = policy !== 'dropless' && rule !== undefined;
      const fullest = bounded && rule.factor <= 0;
      const most = bounded
        ? capacityOf(rule, { numTokens, topK, numExperts: numSlots, fullest: UNBOUND })
        : UNBOUND;
      words.set([at(tokens, rank), Math.min(most, UNBOUND), Number(fullest), 0], 4 * rank);
    }
  }
  return words;
}

const UNBOUND = 0xffff_ffff;
