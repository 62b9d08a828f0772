/** Numbers about load: how even it is, how even it could be, what uneven load wastes and moves. */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { ceilDiv, at, maxOf, range, sum } from '../core/math.ts';
import { seededRandom } from '../core/random.ts';
import { DROPPED } from './dispatch-plan.ts';
import type { ExpertPlacement } from './placement.ts';

/** Rows of each rank, from rows of each slot. */
export function loadOfRanks(placement: ExpertPlacement, count_P: readonly number[]): number[] {
  return range(placement.numRanks).map((rank) =>
    sum(count_P.slice(at(placement.firstSlot, rank), at(placement.firstSlot, rank + 1))),
  );
}

/** Rows of each expert, from rows of each slot. */
export function loadOfExperts({ slotsOfExpert }: ExpertPlacement, count_P: readonly number[]): number[] {
  return slotsOfExpert.map((slots) => sum(slots.map((slot) => at(count_P, slot))));
}

/** The fullest over the mean: 1 is even. Without any load 1. */
export function maxOverMean(loads: readonly number[]): number {
  requireGiven('The loads', loads, 'list');
  const total = sum(loads);
  return total === 0 ? 1 : (maxOf(loads) * loads.length) / total;
}

/** Half the mean difference of two loads over the mean: 0 is even, 1 - 1/n is all on one. [0, 0, 6] gives 2/3. */
export function gini(loads: readonly number[]): number {
  requireGiven('The loads', loads, 'list');
  const total = sum(loads);
  if (total === 0) return 0;
  const sorted = [...loads].sort((a, b) => a - b);
  const n = loads.length;
  return (2 * sum(sorted.map((load, i) => (i + 1) * load))) / (n * total) - (n + 1) / n;
}

/**
 * The share of a grouped GEMM's rows that are padding, when every slot's rows are rounded up to whole tiles.
 * Rows [5, 0, 8] in tiles of 8: 3 of 16.
 */
export function paddingWaste(count_P: readonly number[], tileRows: number): number {
  requireGiven('The counts', count_P, 'list');
  requireGiven('tileRows', tileRows, 'number');
  const padded = sum(count_P.map((rows) => ceilDiv(rows, tileRows) * tileRows));
  return padded === 0 ? 0 : (padded - sum(count_P)) / padded;
}

/** Rows that go from each source rank to each owner, [S, R], without those that stay: rank s is source s. */
export function rowsBetweenRanks(
  placement: ExpertPlacement,
  slotsOfSources: readonly ArrayLike<number>[],
): number[][] {
  return slotsOfSources.map((slots, source) => {
    const rows = range(placement.numRanks).map(() => 0);
    for (let i = 0; i < slots.length; i++) {
      const slot = at(slots, i);
      if (slot === DROPPED) continue;
      const rank = at(placement.rankOfSlot, slot);
      if (rank !== source) rows[rank] = at(rows, rank) + 1;
    }
    return rows;
  });
}

/** Draws of a floor, tokens times choices times rounds. A guess: a second of work is far above. */
const FLOOR_DRAWS = 2e6;
const FLOOR_ROUNDS = { least: 8, most: 200 };

/** How uneven load is by chance alone. */
export interface NoiseFloor {
  /** (max - mean) / mean over ranks or experts, the mean of seeded rounds, and what 95 of 100 of them stay below. */
  readonly mean: number;
  readonly p95: number;
  readonly rounds: number;
}

/**
 * What perfectly uniform routing shows by chance: every token takes K of E experts, all sets alike, and each replica its
 * even share. 4,096 tokens, 8 of 256 experts on 32 ranks: 0.066.
 * @param parts the rank of each expert's row: a placement's ranks, or the experts themselves when absent.
 */
export function noiseFloor(
  sizes: { readonly numTokens: number; readonly topK: number; readonly numExperts: number },
  placement?: ExpertPlacement,
): NoiseFloor {
  requireFields('The sizes', sizes, { numTokens: 'number', topK: 'number', numExperts: 'number' });
  const { numTokens, topK, numExperts } = sizes;
  if (!(
    topK >= 1 &&
    topK <= numExperts &&
    Number.isInteger(topK) &&
    Number.isInteger(numExperts) &&
    numTokens >= 0
  )) {
    throw new ConfigError(
      `${numTokens} tokens cannot take ${topK} of ${numExperts} experts; topK is from 1 to all of them.`,
    );
  }
  const draws = numTokens * topK;
  if (draws === 0) return { mean: 0, p95: 0, rounds: 0 };
  const { least, most } = FLOOR_ROUNDS;
  const rounds = Math.max(least, Math.min(most, Math.floor(FLOOR_DRAWS / draws)));
  const random = seededRandom(1);
  const order = Uint32Array.from({ length: numExperts }, (_, e) => e);
  const numParts = placement?.numRanks ?? numExperts;
  const found = range(rounds).map(() => {
    const load = new Float64Array(numParts);
    for (let token = 0; token < numTokens; token++) {
      for (let k = 0; k < topK; k++) {
        // The first K of a shuffle: a permutation stays one, so the next token goes on from it.
        const other = k + random.integer(numExperts - k);
        const expert = at(order, other);
        order[other] = at(order, k);
        order[k] = expert;
        const slots = placement === undefined ? [] : at(placement.slotsOfExpert, expert);
        const part =
          placement === undefined
            ? expert
            : at(placement.rankOfSlot, at(slots, slots.length === 1 ? 0 : random.integer(slots.length)));
        load[part] = at(load, part) + 1;
      }
    }
    return (maxOf(load) * numParts) / draws - 1;
  });
  found.sort((a, b) => a - b);
  return { mean: sum(found) / rounds, p95: at(found, Math.ceil(0.95 * rounds) - 1), rounds };
}
