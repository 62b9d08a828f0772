/**
 * One row: everyone is checked, then timed in turns, all of them in each round, so that what changes on the machine meanwhile
 * changes for all. A window is one or more runs and one wait for the last; the host's clock times it for everyone.
 */
import { messageOf } from '../../src/core/errors.ts';
import { seededRandom, seedOf, shuffled } from '../../src/core/random.ts';
import { summarise, type Summary } from '../../src/measure/statistics.ts';
import type { Contestant } from './contestants/contestant.ts';
import type { Entrant, Host, PeerRow } from './row.ts';
import { examine, type Finding, type Truth } from './truth.ts';

export interface MatchOptions {
  /** Host time for the row's rounds, ns. */
  readonly budgetNs: number;
  readonly minRounds: number;
  readonly maxRounds: number;
  /** Runs are repeated within a window until it is so long, ns. */
  readonly windowNs: number;
  readonly now: () => number;
  readonly say: (text: string) => void;
}

export interface Standing {
  readonly name: string;
  readonly ours: boolean;
  readonly notes: readonly string[];
  readonly finding: Finding;
  /** The first run: compiling and placing weights included. */
  readonly firstNs: number;
  /** Runs of one window. */
  readonly repeats: number;
  /** Host time per run, one sample a round, in the order of rounds. */
  readonly samplesNs: readonly number[];
  readonly time: Summary;
  /** By the adapter's own timestamps; ours only. */
  readonly gpu?: Summary;
  readonly dispatches?: number;
}

/** Somebody who could not take part, and why. */
export interface Absence {
  readonly name: string;
  readonly ours: boolean;
  readonly reason: string;
}

export interface MatchResult {
  readonly row: PeerRow;
  readonly standings: readonly Standing[];
  readonly absent: readonly Absence[];
  /** Host time from the first entry to the last sample, ns. */
  readonly wallNs: number;
}

interface Seat {
  readonly entrant: Entrant;
  readonly contestant: Contestant;
  readonly finding: Finding;
  readonly firstNs: number;
  readonly repeats: number;
  readonly samplesNs: number[];
  readonly gpuNs: number[];
}

export async function playRow(row: PeerRow, host: Host, options: MatchOptions): Promise<MatchResult> {
  const start = options.now();
  const { entrants, truths } = row.setup();
  options.say('reference');
  const truth = truths();
  const seats: Seat[] = [];
  const absent: Absence[] = [];
  try {
    for (const entrant of entrants) {
      options.say(`${entrant.name}: first run and check`);
      const seat = await seatOf(entrant, host, truth, options);
      if ('reason' in seat) absent.push(seat);
      else seats.push(seat);
    }
    await playRounds(seats, options);
    for (const { contestant, gpuNs } of seats) await readGpuTimes(contestant, gpuNs);
    const standings = seats.map(standingOf);
    return { row, standings, absent, wallNs: options.now() - start };
  } finally {
    for (const { contestant } of seats) await contestant.destroy();
  }
}

/** Enters, runs and checks; a second run says how many of them a window takes. */
async function seatOf(
  entrant: Entrant,
  host: Host,
  truth: readonly Truth[],
  { now, windowNs }: MatchOptions,
): Promise<Seat | Absence> {
  try {
    const entered = now();
    const contestant = await entrant.enter(host);
    await window(contestant, 1, now);
    const firstNs = now() - entered;
    const finding = examine(await contestant.outputs(), truth, entrant.tolerance);
    const runNs = await window(contestant, 1, now);
    const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.ceil(windowNs / runNs)));
    return { entrant, contestant, finding, firstNs, repeats, samplesNs: [], gpuNs: [] };
  } catch (error) {
    return { name: entrant.name, ours: entrant.ours, reason: firstLine(messageOf(error)) };
  }
}

const MOST_REPEATS = 64;
const GPU_SAMPLES = 5;
const SETTLE_MS = 10;

/** In another order each round, so that nobody always follows the same one and what its threads leave behind. */
async function playRounds(seats: readonly Seat[], options: MatchOptions): Promise<void> {
  const { now, budgetNs, minRounds, maxRounds } = options;
  const end = now() + budgetNs;
  const random = seededRandom(seedOf('rounds'));
  for (let round = 0; round < maxRounds; round++) {
    if (round >= minRounds && now() >= end) return;
    options.say(`round ${round + 1}`);
    for (const seat of shuffled(seats, random)) {
      await settle();
      seat.samplesNs.push((await window(seat.contestant, seat.repeats, now)) / seat.repeats);
    }
  }
}

async function window(contestant: Contestant, repeats: number, now: () => number): Promise<number> {
  const start = now();
  for (let i = 0; i < repeats; i++) await contestant.run();
  await contestant.finish();
  return now() - start;
}

/** Threads of the one before, which look for work a while longer, go to sleep. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

async function readGpuTimes(contestant: Contestant, gpuNs: number[]): Promise<void> {
  for (let i = 0; i < GPU_SAMPLES; i++) {
    const ns = await contestant.gpuTime?.();
    if (ns !== undefined) gpuNs.push(ns);
  }
}

function standingOf({ entrant, contestant, finding, firstNs, repeats, samplesNs, gpuNs }: Seat): Standing {
  return {
    name: entrant.name,
    ours: entrant.ours,
    notes: contestant.notes,
    ...{ finding, firstNs, repeats, samplesNs },
    time: summarise(samplesNs),
    ...(gpuNs.length > 0 && { gpu: summarise(gpuNs) }),
    ...(contestant.dispatches !== undefined && { dispatches: contestant.dispatches }),
  };
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}
