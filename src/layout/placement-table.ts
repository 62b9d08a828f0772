/** Where experts lie, as a table: of each rank of an EP group its slots and the experts in them. */
import { at, range } from '../core/math.ts';
import { type ExpertPlacement, expertsOfRanks, isPlain } from '../routing/placement.ts';
import { alignColumns, formatIds, formatRun, plural, TEXT_WIDTH, wrap } from './text.ts';

/** An expert -> (owner, slot) table as plain data. */
export interface PlacementTable {
  readonly slots: number;
  /** Experts that lie in more than one slot. */
  readonly replicated: readonly number[];
  /** By EP index, in the order of its slots. */
  readonly expertsOfRank: readonly (readonly number[])[];
  /** By expert: the EP index and the slot of it of each replica. */
  readonly placesOfExpert: readonly (readonly { readonly rank: number; readonly slot: number }[])[];
}

/** The field of an explanation; nothing where a layout has no table of its own. */
export function placementTable(placement: ExpertPlacement): { readonly placement?: PlacementTable } {
  if (isPlain(placement)) return {};
  const { numExperts, numSlots, slotsOfExpert, rankOfSlot, firstSlot } = placement;
  return {
    placement: {
      slots: numSlots,
      replicated: range(numExperts).filter((expert) => at(slotsOfExpert, expert).length > 1),
      expertsOfRank: expertsOfRanks(placement),
      placesOfExpert: slotsOfExpert.map((slots) =>
        slots.map((slot) => {
          const rank = at(rankOfSlot, slot);
          return { rank, slot: slot - at(firstSlot, rank) };
        }),
      ),
    },
  };
}

/** More ranks than that are left out of the middle. A guess. */
const MAX_RANKS = 32;

export function renderPlacement({ slots, replicated, expertsOfRank }: PlacementTable): string[] {
  const ranks = expertsOfRank.length;
  const shown = range(ranks).filter(
    (rank) => ranks <= MAX_RANKS || rank < MAX_RANKS / 2 || rank === ranks - 1,
  );
  let first = 0;
  const firstSlot = expertsOfRank.map((experts) => (first += experts.length) - experts.length);
  const left = alignColumns([
    ['EP index', 'slots'],
    ...shown.map((rank) => {
      return [String(rank), formatRun({ first: at(firstSlot, rank), count: at(expertsOfRank, rank).length })];
    }),
  ]);
  const width = at(left, 0).length + 2;
  const lines = shown.flatMap((rank, i) => {
    const experts = at(expertsOfRank, rank);
    const text = experts.length === 0 ? 'none' : experts.join(' ');
    const own = wrap(text, `${at(left, i + 1)}  `, ' '.repeat(width));
    return ranks > MAX_RANKS && rank === MAX_RANKS / 2 - 1 ? [...own, '  ...'] : own;
  });
  const copies =
    replicated.length === 0
      ? 'no expert has replicas'
      : `${plural(replicated.length, 'expert')} with replicas: ${formatIds(replicated)}`;
  return [
    ...wrap(
      `Experts of each EP group by a table: ${plural(slots, 'slot')} on ${plural(ranks, 'rank')}; ${copies}`,
      '',
      '  ',
    ),
    `${at(left, 0)}  experts`.slice(0, TEXT_WIDTH),
    ...lines,
  ];
}
