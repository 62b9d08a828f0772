/** Whether a better placement is worth the weights that have to be moved for it. */
import { requireFields } from '../../core/given.ts';
import { at, maxOf, range } from '../../core/math.ts';
import { type ExpertPlacement, expertsOfRanks, placementOf, requirePlacement } from '../placement.ts';

/** What moving weights and computing rows cost. */
export interface MigrationCosts {
  /** Of one expert's weights, bytes. */
  readonly expertBytes: number;
  /** What a rank can receive, bytes/s. */
  readonly bytesPerSecond: number;
  /** What one row costs the rank that computes it, s. */
  readonly secondsPerRow: number;
  /** Steps until the placement is thought over again. */
  readonly horizonSteps: number;
}

/** What a move takes and gives. */
export interface Migration {
  /** The wanted placement with its ranks renamed, so that little moves. */
  readonly placement: ExpertPlacement;
  /** Slots whose expert their rank has not, by rank, and their bytes. */
  readonly movedSlots: readonly number[];
  readonly movedBytes: number;
  /** Ranks receive side by side: the most of one rank counts. */
  readonly costSeconds: number;
  /** Fewer rows on the fullest rank, of a step, times what they cost, over the horizon. */
  readonly gainSeconds: number;
  /** The gain exceeds the cost. */
  readonly worthwhile: boolean;
}

/**
 * Weighs a wanted placement against the one that is there.
 * @param before rows of the fullest rank a step as it is. @param after as it would be.
 * 10 rows fewer at 1 ms each over 100 steps gain 1 s: worth moving less than a second's bytes.
 */
export function planMigration(
  from: ExpertPlacement,
  wanted: ExpertPlacement,
  load: { readonly before: number; readonly after: number },
  costs: MigrationCosts,
): Migration {
  requirePlacement(from);
  requirePlacement(wanted);
  requireFields('The load', load, { before: 'number', after: 'number' });
  const needed = {
    expertBytes: 'number',
    bytesPerSecond: 'number',
    secondsPerRow: 'number',
    horizonSteps: 'number',
  } as const;
  requireFields('The costs', costs, needed);
  const placement = renamed(from, wanted);
  const [old, fresh] = [expertsOfRanks(from), expertsOfRanks(placement)];
  const movedSlots = fresh.map((experts, rank) => experts.length - common(old[rank] ?? [], experts));
  const movedBytes = movedSlots.reduce((a, b) => a + b, 0) * costs.expertBytes;
  const costSeconds = (maxOf(movedSlots, 0) * costs.expertBytes) / costs.bytesPerSecond;
  const gainSeconds = Math.max(0, load.before - load.after) * costs.secondsPerRow * costs.horizonSteps;
  return {
    placement,
    movedSlots,
    movedBytes,
    costSeconds,
    gainSeconds,
    worthwhile: gainSeconds > costSeconds,
  };
}

/** Slots that need not be filled anew: experts in both lists, as often as in both. */
function common(old: readonly number[], fresh: readonly number[]): number {
  const left = [...old];
  return fresh.filter((expert) => {
    const found = left.indexOf(expert);
    if (found !== -1) left.splice(found, 1);
    return found !== -1;
  }).length;
}

/** GPUs are alike, so each set of experts goes to a rank that has many of them: the pair with the most first. */
function renamed(from: ExpertPlacement, wanted: ExpertPlacement): ExpertPlacement {
  const [old, fresh] = [expertsOfRanks(from), expertsOfRanks(wanted)];
  if (old.length !== fresh.length) return wanted;
  const pairs = fresh.flatMap((experts, set) =>
    old.map((had, rank) => ({ set, rank, kept: common(had, experts) })),
  );
  pairs.sort((a, b) => b.kept - a.kept || a.set - b.set || a.rank - b.rank);
  const setOfRank = old.map(() => -1);
  const given = new Set<number>();
  for (const { set, rank } of pairs) {
    if (given.has(set) || at(setOfRank, rank) !== -1) continue;
    given.add(set);
    setOfRank[rank] = set;
  }
  return placementOf(
    range(old.length).map((rank) => at(fresh, at(setOfRank, rank))),
    wanted.numExperts,
  );
}
