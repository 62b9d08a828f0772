/** Rows of an account beside what this adapter can do: what would be won by reaching it. */
import { rooflineShare } from '../bench/ceilings/roofline.ts';
import type { Ceilings } from '../bench/ceilings/ceilings.ts';
import { NS_PER_S } from '../core/units.ts';
import type { AccountRow } from './account.ts';

export interface RatedRow extends AccountRow {
  /** Modelled cost over measured time. Absent where the GPU does nothing, or no cost is known. */
  readonly flopsPerSecond?: number;
  readonly bytesPerSecond?: number;
  /** Of the measured roof, of the row's modelled cost. Absent without passes, cost or roof. */
  readonly roofShare?: number;
  /**
   * Time that the roof does not ask for, ns: ns x (1 - share of roof), all of a row in which the GPU does nothing. Absent
   * where the share is not known.
   */
  readonly recoverableNs?: number;
}

/** In the order of what can be won: what to look at first. @param ceilings empty when they were not measured. */
export function rated(rows: readonly AccountRow[], ceilings: Ceilings): RatedRow[] {
  const all = rows.map((row): RatedRow => {
    if (row.group !== 'gpu busy') return { ...row, recoverableNs: row.ns };
    if (row.calls === 0 || row.bytes === 0 || !(row.ns > 0)) return row;
    const rates = {
      flopsPerSecond: (row.flop / row.ns) * NS_PER_S,
      bytesPerSecond: (row.bytes / row.ns) * NS_PER_S,
    };
    // The bandwidth is that of the working set of one pass.
    const cost = { flops: row.flop / row.calls, bytes: row.bytes / row.calls };
    const roof = rooflineShare(ceilings, cost, row.ns / row.calls);
    if (roof === undefined) return { ...row, ...rates };
    return { ...row, ...rates, roofShare: roof.share, recoverableNs: row.ns * Math.max(0, 1 - roof.share) };
  });
  return all.sort((a, b) => (b.recoverableNs ?? b.ns) - (a.recoverableNs ?? a.ns));
}
