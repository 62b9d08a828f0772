/** Overflow policies side by side on the same choices: what each keeps, loses, moves and wastes. */
import { at, maxOf, range, sum } from '../core/math.ts';
import { admitAll, type Admission, type AdmitOptions, type WaitingRow } from '../routing/admit.ts';
import type { CapacityRule } from '../routing/capacity.ts';
import type { Choices } from '../routing/choices.ts';
import { gini, loadOfExperts, loadOfRanks, maxOverMean, rowsBetweenRanks } from '../routing/load.ts';
import type { ExpertPlacement } from '../routing/placement.ts';
import type { OverflowPolicy } from '../routing/policies.ts';
import type { Deal } from '../routing/replicas.ts';
import { layerError } from './layer-error.ts';

export interface PolicyInput {
  readonly microBatches: readonly (readonly Choices[])[];
  readonly placement: ExpertPlacement;
  readonly deal: Deal;
  readonly capacity: CapacityRule;
  /** Rows of a tile of the grouped GEMM, for its padding. */
  readonly tileRows: number;
  /** Of one row that goes from rank to rank. */
  readonly rowBytes: number;
}

export interface PolicyOutcome {
  readonly policy: OverflowPolicy;
  /** Most rows of a slot in a micro-batch, of a source with scope `rank`; absent without a capacity. */
  readonly capacity?: number;
  readonly rows: {
    readonly offered: number;
    readonly kept: number;
    readonly dropped: number;
    readonly moved: number;
    /** Rows that waited for a later micro-batch, and of these those that still do at the end, which count as dropped. */
    readonly carried: number;
    readonly leftOver: number;
  };
  readonly droppedShare: number;
  /** Of the router's scores. */
  readonly massLostShare: number;
  readonly countOfSlots: readonly number[];
  readonly loadOfExperts: readonly number[];
  readonly loadOfRanks: readonly number[];
  readonly maxOverMean: { readonly experts: number; readonly ranks: number };
  readonly gini: { readonly experts: number; readonly ranks: number };
  readonly paddingWaste: number;
  /** [source, rank] bytes of the all-to-all that brings rows to experts, without those that stay; back it is the same. */
  readonly allToAllBytes: readonly (readonly number[])[];
  /** Of the layer's output against dropless, see `layerError`. Modelled. */
  readonly layerError: number;
  /** Of the last micro-batch, by slot: what the times are of. */
  readonly lastCount: readonly number[];
}

export function comparePolicies(policies: readonly OverflowPolicy[], input: PolicyInput): PolicyOutcome[] {
  return policies.map((policy) => outcomeOf(policy, input));
}

function outcomeOf(policy: OverflowPolicy, input: PolicyInput): PolicyOutcome {
  const { microBatches, placement, deal, capacity: rule, tileRows, rowBytes } = input;
  const options: AdmitOptions = { policy, deal, ...(policy !== 'dropless' && { capacity: rule }) };
  const { admissions, left } = admitAll(microBatches, placement, options);
  const count = range(placement.numSlots).map((slot) => sum(admissions.map((a) => at(a.count, slot))));
  const total = (of: (admission: Admission) => number): number => sum(admissions.map(of));
  const [offered, massOffered] = [total((a) => a.rows.offered), total((a) => a.mass.offered)];
  const massLeft = sum(left.map(({ score }) => score));
  const dropped = total((a) => a.rows.dropped) + left.length;
  const experts = loadOfExperts(placement, count);
  const ranks = loadOfRanks(placement, count);
  const tiles = total((a) => sum(a.count.map((rows) => Math.ceil(rows / tileRows) * tileRows)));
  const most = maxOf(
    admissions.flatMap(({ capacity }) => capacity),
    0,
  );
  return {
    policy,
    ...(most < Infinity && { capacity: most }),
    rows: {
      ...{ offered, dropped, kept: sum(count), moved: total((a) => a.rows.moved) },
      carried: total((a) => a.waiting.filter(({ age }) => age === 1).length),
      leftOver: left.length,
    },
    droppedShare: offered === 0 ? 0 : dropped / offered,
    massLostShare: massOffered === 0 ? 0 : (total((a) => a.mass.lost) + massLeft) / massOffered,
    countOfSlots: count,
    loadOfExperts: experts,
    loadOfRanks: ranks,
    maxOverMean: { experts: maxOverMean(experts), ranks: maxOverMean(ranks) },
    gini: { experts: gini(experts), ranks: gini(ranks) },
    paddingWaste: tiles === 0 ? 0 : (tiles - sum(count)) / tiles,
    allToAllBytes: bytesBetween(admissions, placement, rowBytes),
    layerError: layerError(microBatches, admissions, left, placement),
    lastCount: admissions[admissions.length - 1]?.count ?? [],
  };
}

function bytesBetween(
  admissions: readonly Admission[],
  placement: ExpertPlacement,
  rowBytes: number,
): number[][] {
  const numSources = admissions[0]?.slots_TK.length ?? 0;
  const bytes = range(numSources).map(() => range(placement.numRanks).map(() => 0));
  const add = (source: number, rank: number, rows: number): void => {
    const row = at(bytes, source);
    row[rank] = at(row, rank) + rows * rowBytes;
  };
  for (const { slots_TK, admitted } of admissions) {
    rowsBetweenRanks(placement, slots_TK).forEach((ranks, source) =>
      ranks.forEach((rows, rank) => add(source, rank, rows)),
    );
    admitted.forEach(({ source, slot }: WaitingRow) => {
      const rank = at(placement.rankOfSlot, slot);
      if (rank !== source) add(source, rank, 1);
    });
  }
  return bytes;
}
