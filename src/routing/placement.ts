/**
 * Where experts lie: an expert -> (owner, slot) table in which an expert may have replicas and ranks may hold different
 * numbers. Slots are numbered through all ranks, rank after rank, so a rank owns a run of them. E experts, P slots, R ranks.
 */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { at, balancedRun, maxOf, range } from '../core/math.ts';

/** Which expert lies in which slot of which rank, and the other way. */
export interface ExpertPlacement {
  readonly numExperts: number;
  readonly numRanks: number;
  /** Slots of all ranks. */
  readonly numSlots: number;
  /** [P] */
  readonly expertOfSlot: readonly number[];
  /** [P] */
  readonly rankOfSlot: readonly number[];
  /** [R + 1]: rank r owns the slots firstSlot[r] up to firstSlot[r + 1]. */
  readonly firstSlot: readonly number[];
  /** [E]: the slots that hold each expert, ascending; at least one. */
  readonly slotsOfExpert: readonly (readonly number[])[];
}

/** More are refused: tables of them are made. Far above any deployment. A guess. */
export const MOST_SLOTS = 65_536;

/**
 * The placement that lists of experts make.
 * @param expertsOfRank which experts each rank holds, in the order of its slots; a rank may hold none.
 * @throws ConfigError when an id is no expert, or an expert lies nowhere.
 */
export function placementOf(
  expertsOfRank: readonly (readonly number[])[],
  numExperts: number,
): ExpertPlacement {
  requireGiven('The placement', expertsOfRank, 'list');
  requireCount('experts', numExperts);
  requireCount('ranks', expertsOfRank.length);
  const expertOfSlot = expertsOfRank.flat();
  if (expertOfSlot.length < numExperts) {
    throw new ConfigError(
      `${expertOfSlot.length} slots cannot hold ${numExperts} experts; each needs at least one. Give ranks more slots.`,
    );
  }
  requireCount('slots', expertOfSlot.length);
  const slotsOfExpert = range(numExperts).map((): number[] => []);
  expertOfSlot.forEach((expert, slot) => {
    const slots = slotsOfExpert[expert];
    if (slots === undefined) {
      throw new ConfigError(
        `slot ${slot} holds expert ${expert}; experts are numbered 0 to ${numExperts - 1}.`,
      );
    }
    slots.push(slot);
  });
  const missing = slotsOfExpert.findIndex((slots) => slots.length === 0);
  if (missing !== -1) {
    throw new ConfigError(
      `expert ${missing} lies in none of the ${expertOfSlot.length} slots; each needs one.`,
    );
  }
  const firstSlot = [0];
  for (const experts of expertsOfRank) firstSlot.push(at(firstSlot, firstSlot.length - 1) + experts.length);
  return {
    numExperts,
    numRanks: expertsOfRank.length,
    numSlots: expertOfSlot.length,
    expertOfSlot,
    rankOfSlot: expertsOfRank.flatMap((experts, rank) => experts.map(() => rank)),
    firstSlot,
    slotsOfExpert,
  };
}

/** Runs of experts in order, of lengths that differ by at most one. 5 experts on 2 ranks: [0, 1, 2] and [3, 4]. */
export function contiguousPlacement(numExperts: number, numRanks: number): ExpertPlacement {
  requireCount('experts', numExperts);
  requireCount('ranks', numRanks);
  return placementOf(
    range(numRanks).map((rank) => {
      const [first, count] = balancedRun(numExperts, numRanks, rank);
      return range(count).map((i) => first + i);
    }),
    numExperts,
  );
}

/** @throws ConfigError for what is no placement. */
export function requirePlacement(placement: unknown): void {
  const lists = {
    expertOfSlot: 'list',
    rankOfSlot: 'list',
    firstSlot: 'list',
    slotsOfExpert: 'list',
  } as const;
  requireFields('The placement', placement, { numExperts: 'number', numRanks: 'number', ...lists });
}

/** The slots of each rank: what `planDispatch` takes as owners once ids are slots. */
export function slotsOfRanks({ firstSlot, numRanks }: ExpertPlacement): number[][] {
  return range(numRanks).map((rank) => {
    const [first, end] = [at(firstSlot, rank), at(firstSlot, rank + 1)];
    return range(end - first).map((i) => first + i);
  });
}

/** The rank that owns a slot, and which of its own slots it is. */
export function ownerOf(
  { rankOfSlot, firstSlot }: ExpertPlacement,
  slot: number,
): { rank: number; slot: number } {
  const rank = at(rankOfSlot, slot);
  return { rank, slot: slot - at(firstSlot, rank) };
}

/** The experts of each rank, as `placementOf` takes them. */
export function expertsOfRanks(placement: ExpertPlacement): number[][] {
  return slotsOfRanks(placement).map((slots) => slots.map((slot) => at(placement.expertOfSlot, slot)));
}

/**
 * Whether a slot's number is that of its expert and all ranks hold equally many: nothing has to be looked up then, which is
 * how a layout without a table of its own places experts.
 */
export function isPlain({
  numExperts,
  numRanks,
  numSlots,
  expertOfSlot,
  firstSlot,
}: ExpertPlacement): boolean {
  const equal =
    numSlots % numRanks === 0 && firstSlot.every((first, rank) => first === rank * (numSlots / numRanks));
  return equal && numSlots === numExperts && expertOfSlot.every((expert, slot) => expert === slot);
}

/** Slots of the fullest rank: what a device must hold of a layer's experts. */
export function mostSlotsOfRank({ firstSlot, numRanks }: ExpertPlacement): number {
  return maxOf(range(numRanks).map((rank) => at(firstSlot, rank + 1) - at(firstSlot, rank)));
}

function requireCount(what: string, count: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= MOST_SLOTS) return;
  throw new ConfigError(`${what} (${count}) must be a whole number from 1 to ${MOST_SLOTS}.`);
}
