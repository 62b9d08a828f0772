/** Placements side by side: what each balancer makes of a load. */
import { ConfigError } from '../core/errors.ts';
import { ceilDiv, sum } from '../core/math.ts';
import { eplb, eplbGlobal } from '../routing/balance/eplb.ts';
import { optimalPlacement } from '../routing/balance/optimum.ts';
import { evenLoadOfRanks, placeExperts } from '../routing/balance/placer.ts';
import { weightedSplit } from '../routing/balance/split.ts';
import { requireName } from '../routing/capacity.ts';
import { maxOverMean } from '../routing/load.ts';
import { contiguousPlacement, type ExpertPlacement, placementOf } from '../routing/placement.ts';
import { type Deal, dealTable, type ReplicaShares } from '../routing/replicas.ts';

/**
 * - `none`: equal runs of experts, no replicas.
 * - `eplb`, `eplb-hierarchical`: DeepSeek's, global, or by groups of experts and nodes.
 * - `placer`, `placer-weighted`: ours, with an even or a weighted split of an expert's rows over its replicas.
 * - `eplb-weighted`: EPLB's placement with a weighted split.
 * - `optimum`: the best even split there is, proved; two slots a rank.
 * - `bias`: no placement but DeepSeek-V3's bias on the router's scores, trained on the same routing first.
 */
export const BALANCERS = [
  'none',
  'eplb',
  'eplb-hierarchical',
  'eplb-weighted',
  'placer',
  'placer-weighted',
  'optimum',
  'bias',
] as const;
export type Balancer = (typeof BALANCERS)[number];

export interface PlacementSizes {
  readonly ranks: number;
  /** Of all ranks; one more a rank than its experts when absent, for `optimum` two a rank. */
  readonly slots?: number | undefined;
  readonly groups?: number | undefined;
  readonly nodes?: number | undefined;
}

export interface Balanced {
  readonly balancer: Balancer;
  readonly placement: ExpertPlacement;
  readonly deal: Deal;
  /** Of the rank loads that the balancer expects. */
  readonly maxOverMean: number;
  /** Of `optimum`: whether the search ended. */
  readonly proved?: boolean;
}

/** @param load of each expert. @throws ConfigError for sizes that a balancer cannot have. */
export function balanced(balancer: Balancer, load: readonly number[], sizes: PlacementSizes): Balanced {
  requireName('balancer', balancer, BALANCERS);
  const { ranks, groups = 1, nodes = 1 } = sizes;
  const slots = slotsFor(balancer, load.length, sizes);
  // Without any load all placements are alike.
  const weights = sum(load) > 0 ? load : load.map(() => 1);
  const even = (placement: ExpertPlacement): Balanced => ({ ...evenOn(placement, weights), balancer });
  const split = (placement: ExpertPlacement): Balanced => {
    const { maxOverMean: most, shares } = weightedSplit(weights, placement);
    return result(balancer, placement, most, shares);
  };
  switch (balancer) {
    case 'none':
    case 'bias':
      return even(contiguousPlacement(load.length, ranks));
    case 'eplb':
      return even(placementOf(eplbGlobal(weights, slots, ranks), load.length));
    case 'eplb-hierarchical':
      return even(placementOf(eplb(weights, { slots, groups, nodes, gpus: ranks }), load.length));
    case 'eplb-weighted':
      return split(placementOf(eplbGlobal(weights, slots, ranks), load.length));
    case 'placer':
      return even(placeExperts(weights, { slots, gpus: ranks }).placement);
    case 'placer-weighted':
      return split(placeExperts(weights, { slots, gpus: ranks, split: 'weighted' }).placement);
    case 'optimum': {
      const { placement, proved } = optimalPlacement(weights, ranks);
      return { ...even(placement), proved };
    }
  }
}

/** A placement as it is given, its replicas with equal shares. @param load of each expert. */
export function evenOn(placement: ExpertPlacement, load: readonly number[]): Balanced {
  return result('none', placement, maxOverMean(evenLoadOfRanks(load, placement)));
}

function result(
  balancer: Balancer,
  placement: ExpertPlacement,
  most: number,
  shares?: ReplicaShares,
): Balanced {
  return { balancer, placement, deal: dealTable(placement, shares), maxOverMean: most };
}

function slotsFor(balancer: Balancer, experts: number, { ranks, slots }: PlacementSizes): number {
  if (balancer === 'none' || balancer === 'bias') {
    if (slots === undefined || slots === experts) return experts;
    throw new ConfigError(
      `the balancer ${balancer} makes no replicas: ${slots} slots would do nothing. Leave them out.`,
    );
  }
  if (balancer === 'optimum') {
    if (slots === undefined || slots === 2 * ranks) return 2 * ranks;
    throw new ConfigError(`the optimum is found for two slots a rank, ${2 * ranks} here, not for ${slots}.`);
  }
  return slots ?? ranks * (ceilDiv(experts, ranks) + 1);
}

export interface PlacementRow {
  readonly balancer: Balancer;
  readonly slots: number;
  readonly maxOverMean: number;
  readonly proved?: boolean;
  /** Host time that it took, where there is a clock: measured. */
  readonly ns?: number;
}

/** Experts up to which the optimum is searched for beside the others. */
const FEW_EXPERTS = 16;

/** All balancers that can place so many experts, for a table. @param now the host's clock, ns. */
export function comparePlacements(
  load: readonly number[],
  sizes: PlacementSizes,
  now?: () => number,
): PlacementRow[] {
  const rows: PlacementRow[] = [];
  for (const balancer of BALANCERS) {
    if (balancer === 'bias') continue;
    if (balancer === 'eplb-hierarchical' && sizes.groups === undefined) continue;
    if (balancer === 'optimum' && load.length > Math.min(FEW_EXPERTS, 2 * sizes.ranks)) continue;
    const own = balancer === 'none' || balancer === 'optimum' ? { ...sizes, slots: undefined } : sizes;
    try {
      const began = now?.();
      const { placement, maxOverMean: most, proved } = balanced(balancer, load, own);
      rows.push({
        ...(now !== undefined && began !== undefined && { ns: now() - began }),
        balancer,
        slots: placement.numSlots,
        maxOverMean: most,
        ...(proved !== undefined && { proved }),
      });
    } catch (error) {
      // What cannot be placed by one balancer, EPLB with slots that do not divide, has no row.
      if (!(error instanceof ConfigError)) throw error;
    }
  }
  return rows;
}
