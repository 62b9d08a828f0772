/**
 * How near a kernel is to what this adapter can do: attainable FLOP/s = min(peak, intensity x bandwidth), both
 * measured here. Nothing is faster than that, so a row above it is an error of the cost or of a measurement.
 */
import { requireFields, requireGiven } from '../../core/given.ts';
import { maxOf, minOf } from '../../core/math.ts';
import { NS_PER_S, formatNs, formatSi } from '../../core/units.ts';
import type { Cost } from '../../ops/op.ts';
import type { Ceilings, MeasuredCeiling } from './ceilings.ts';

/** A measured time beside the roofline of the same adapter (Williams et al., CACM 2009). Times in ns. */
export interface RooflineShare {
  /** attainableNs over the measured time: 1 is the roof. */
  readonly share: number;
  /** Which of the two takes longer. */
  readonly binds: 'compute' | 'bandwidth';
  readonly attainableNs: number;
}

/** A row may be so much above the roof before it is an error: both times are measured. A guess. */
export const TOLERANCE = 0.1;

/** Kernels add up in f32, whatever their weights are stored in. */
export function peakFlopsPerSecond(ceilings: Ceilings): number | undefined {
  return measured(ceilings).find(({ name }) => name === 'f32 multiply-add')?.value;
}

/**
 * Bytes/s that a kernel with so large a working set can reach at most. It is measured at few sizes, so that of the
 * next smaller size counts; if a larger one was faster, as copies and a busy machine make possible, that counts.
 * Read at 16 KiB: 90, at 4 MiB: 20 GB/s -> 1 MiB: 90, 5 MiB: 20, 1 KiB: 90.
 */
export function bandwidthFor(ceilings: Ceilings, bytes: number): number | undefined {
  const read = measured(ceilings).filter(({ name }) => name === 'storage read');
  const sizes = read.map(({ footprintBytes = 0 }) => footprintBytes);
  const below = maxOf(
    sizes.filter((size) => size <= bytes),
    minOf(sizes),
  );
  const able = measured(ceilings).filter(
    ({ name, footprintBytes = 0 }) =>
      (name === 'storage read' || name === 'storage copy') && footprintBytes >= below,
  );
  return read.length === 0 ? undefined : maxOf(able.map(({ value }) => value));
}

/** Undefined when a probe that it needs is missing. */
export function rooflineShare(ceilings: Ceilings, cost: Cost, ns: number): RooflineShare | undefined {
  requireGiven('The ceilings', ceilings, 'list');
  requireFields('The cost', cost, { flops: 'number', bytes: 'number' });
  requireGiven('The time', ns, 'number');
  const peak = peakFlopsPerSecond(ceilings);
  const bandwidth = bandwidthFor(ceilings, cost.bytes);
  if (peak === undefined || bandwidth === undefined || !(ns > 0)) return undefined;
  const computeNs = (cost.flops / peak) * NS_PER_S;
  const movingNs = (cost.bytes / bandwidth) * NS_PER_S;
  const attainableNs = Math.max(computeNs, movingNs);
  return { share: attainableNs / ns, binds: computeNs > movingNs ? 'compute' : 'bandwidth', attainableNs };
}

/** Whether a row is too fast to be true. @param spread half the interval of its time as a share of the median. */
export function isAboveRoof({ share }: RooflineShare, spread: number): boolean {
  return !(share <= 1 + Math.max(TOLERANCE, spread));
}

/** Why a row that is above the roof is no record. */
export function aboveRoofText(ceilings: Ceilings, cost: Cost, ns: number, roof: RooflineShare): string {
  const least =
    roof.binds === 'compute'
      ? `${formatSi(cost.flops, 'FLOP')} at ${formatSi(peakFlopsPerSecond(ceilings) ?? NaN, 'FLOP/s')}`
      : `${formatSi(cost.bytes, 'B')} at ${formatSi(bandwidthFor(ceilings, cost.bytes) ?? NaN, 'B/s')}`;
  return (
    `above the roofline: it took ${formatNs(ns)}, but ${least} take ${formatNs(roof.attainableNs)} ` +
    `(${Math.round(100 * roof.share)} % of what was measured as the most of this adapter). ` +
    `Its cost, its time or the ceiling is wrong.`
  );
}

function measured(ceilings: Ceilings): MeasuredCeiling[] {
  return ceilings.filter((ceiling) => ceiling.state === 'measured');
}
