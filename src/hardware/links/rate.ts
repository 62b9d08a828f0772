/** Links in two segments, and rates as nccl-tests define them. */
import { ConfigError } from '../../core/errors.ts';
import type { Collective } from '../queries.ts';

/** us = alpha + bytes / rate. */
export interface Segment {
  readonly alphaUs: number;
  /** 1e9 bytes a second: 1e3 bytes a us. */
  readonly gbPerS: number;
}

/** How long one message takes: messages up to a size are sent by one protocol, larger ones by another. */
export interface Link {
  us(bytes: number): number;
}

/** @throws ConfigError for what is no positive number. */
export function requireSize(name: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value)))
    throw new ConfigError(`${name} (${value}) must be a positive number.`);
}

/**
 * A link of two segments. @param upTo bytes of the largest message that the first one carries.
 * @throws ConfigError for a rate that is not positive, or a negative latency.
 */
export function twoSegmentLink(small: Segment, large: Segment, upTo: number): Link {
  for (const { alphaUs, gbPerS } of [small, large]) {
    requireSize('gbPerS', gbPerS);
    if (!(alphaUs >= 0)) throw new ConfigError(`alphaUs (${alphaUs}) must be 0 or more.`);
  }
  return {
    us: (bytes) => {
      const { alphaUs, gbPerS } = bytes <= upTo ? small : large;
      return alphaUs + bytes / (gbPerS * 1e3);
    },
  };
}

/** A link of one segment. */
export function link(segment: Segment): Link {
  return twoSegmentLink(segment, segment, Infinity);
}

/** algbw of nccl-tests, 1e9 bytes a second: the collective's bytes over its time. */
export function algbw(bytes: number, us: number): number {
  return bytes / us / 1e3;
}

/**
 * busbw of nccl-tests: algbw times what makes it comparable with the rate of a link whatever the number of ranks,
 * 2 (p - 1) / p for an all-reduce, (p - 1) / p for the others (nccl-tests, doc/PERFORMANCE.md).
 */
export function busbw(op: Collective, bytes: number, us: number, ranks: number): number {
  const factor = ((op === 'all_reduce' ? 2 : 1) * (ranks - 1)) / ranks;
  return algbw(bytes, us) * factor;
}

/** Noise of ranks that all must arrive: exponential with a mean, or normal with a deviation, us. */
export type Jitter =
  | { readonly kind: 'exponential'; readonly meanUs: number }
  | { readonly kind: 'normal'; readonly deviationUs: number };

/** Intervals of the numeric integral below; its error is far below 1e-6 deviations. */
const INTERVALS = 4000;

/**
 * How much later than the mean the last of `ranks` independent ranks is expected, us. Exponential: mean (H_p - 1), with H_p the
 * harmonic number; normal: the expected largest of p, by integration of 1 - Phi^p.
 */
export function expectedLag(jitter: Jitter, ranks: number): number {
  if (jitter.kind === 'exponential') {
    let harmonic = 0;
    for (let i = 1; i <= ranks; i++) harmonic += 1 / i;
    return jitter.meanUs * (harmonic - 1);
  }
  const [from, to] = [-9, 9];
  const step = (to - from) / INTERVALS;
  let cumulative = 0;
  let lag = from;
  for (let i = 0; i < INTERVALS; i++) {
    const z = from + (i + 0.5) * step;
    const half = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * (step / 2);
    cumulative += half;
    lag += (1 - Math.min(1, cumulative) ** ranks) * step;
    cumulative += half;
  }
  return jitter.deviationUs * (ranks === 1 ? 0 : lag);
}

/** A ring goes at the pace of its slowest rank: time with one rank whose links have a `share` of the others' rate. */
export function withStraggler(us: number, share: number): number {
  if (!(share > 0 && share <= 1))
    throw new ConfigError(`the straggler's share (${share}) must be in (0, 1].`);
  return us / share;
}
