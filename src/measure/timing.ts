/** What a timing is. A missing or too coarse one is a state of its own, so it cannot be read as a measured one. */
import { summarise } from './statistics.ts';

/** `gpu`: timestamps that the adapter wrote. `host`: the host's clock around submission and completion. */
export type Clock = 'gpu' | 'host';

export interface Measured {
  readonly state: 'measured';
  readonly clock: Clock;
  /** Time of one run each: a window's time divided by `repeats`. */
  readonly samplesNs: readonly number[];
  /** Runs within one window. */
  readonly repeats: number;
  /** Of samples that were taken in rounds: the round of each, and the windows whose median it is, ns of one run. */
  readonly rounds?: readonly number[];
  readonly windowsNs?: readonly (readonly number[])[];
  /** What came before the samples and is in none of them. */
  readonly warmUp?: WarmUp;
}

export interface WarmUp {
  readonly runs: number;
  /** Time of the first run, on the clock of the samples; absent when that reading was void. */
  readonly firstNs?: number;
  /** Host time of all of it, finding the length of a window included. */
  readonly hostNs: number;
}

export interface TooFine {
  readonly state: 'too-fine';
  readonly clock: Clock;
  /** The clock's step. */
  readonly grainNs: number;
  /** The longest window that was possible. */
  readonly windowNs: number;
}

export interface Failed {
  readonly state: 'failed';
  readonly reason: string;
}

/** Not tried, and why: the time was up, or a check before it failed. */
export interface Skipped {
  readonly state: 'skipped';
  readonly reason: string;
}

/** A time, or why there is none. Only `measured` has samples. */
export type Timing = Measured | TooFine | Failed | Skipped;

/** Median of a measured time, undefined for every other state. */
export function medianNs(timing: Timing): number | undefined {
  return timing.state === 'measured' ? summarise(timing.samplesNs).median : undefined;
}
