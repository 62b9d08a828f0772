/**
 * Which replica takes a row. Rows of an expert are dealt to its replicas by a table of turns, in which each has as many
 * turns as its share, spread evenly: no count has to be known before, so a kernel can do the same.
 */
import { ConfigError } from '../core/errors.ts';
import { at, range, sum } from '../core/math.ts';
import { type ExpertPlacement, requirePlacement } from './placement.ts';

/** Per expert the share of each replica, in the order of `slotsOfExpert`: any numbers of at least 0 that are not all 0. */
export type ReplicaShares = readonly (readonly number[])[];

/** Turns of a table: a share is kept to 1 in so many. A guess. */
export const DEAL_TURNS = 256;

/** Slots by [expert, turn]. */
export interface Deal {
  readonly turns: number;
  /** [E, turns] */
  readonly slot_ET: Uint32Array;
}

/** Equal shares. */
export function evenShares({ slotsOfExpert }: ExpertPlacement): number[][] {
  return slotsOfExpert.map((slots) => slots.map(() => 1));
}

/**
 * Turn j goes to the replica that is furthest behind (j + 1) times its share; of equal ones to the first.
 * Shares 1 and 3 over 4 turns: the second, the second, the first, the second.
 * @throws ConfigError for shares that do not fit the placement.
 */
export function dealTable(placement: ExpertPlacement, given?: ReplicaShares, turns = DEAL_TURNS): Deal {
  requirePlacement(placement);
  const { numExperts, slotsOfExpert } = placement;
  const shares = given ?? evenShares(placement);
  const slot_ET = new Uint32Array(numExperts * turns);
  for (const expert of range(numExperts)) {
    const slots = at(slotsOfExpert, expert);
    const of = shares[expert] ?? [];
    const total = sum(of);
    if (of.length !== slots.length || !(total > 0 && total < Infinity) || !of.every((share) => share >= 0)) {
      throw new ConfigError(
        `expert ${expert} has the shares [${of.slice(0, 8).join(', ')}] for its ${slots.length} replicas; ` +
          `each needs one, at least 0, and one of them more.`,
      );
    }
    const dealt = slots.map(() => 0);
    for (const turn of range(turns)) {
      let next = 0;
      let most = -Infinity;
      of.forEach((share, replica) => {
        const behind = ((turn + 1) * share) / total - at(dealt, replica);
        if (behind > most) [next, most] = [replica, behind];
      });
      dealt[next] = at(dealt, next) + 1;
      slot_ET[expert * turns + turn] = at(slots, next);
    }
  }
  return { turns, slot_ET };
}

/** The slot of the `index`-th row that a source has for an expert. Sources start at different turns. */
export function dealtSlot(
  { turns, slot_ET }: Deal,
  expert: number,
  index: number,
  source: number,
  numSources: number,
): number {
  const first = Math.floor((source * turns) / numSources);
  return at(slot_ET, expert * turns + ((index + first) % turns));
}
