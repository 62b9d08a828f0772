/** All kernels timed: each checked at its own size, then all of them in rounds. */
import { messageOf } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { NS_PER_S } from '../../core/units.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import { burstOf, LEAST_SAMPLE_NS, type OpenedRow } from '../../measure/burst.ts';
import {
  canaryReport,
  driftOf,
  openCanary,
  type Canary,
  type CanaryReport,
  type Drift,
} from '../../measure/canary.ts';
import { copiesFor, inCopies, type CacheSize, type ColdInputs } from '../../measure/cold.ts';
import { earlierFailure, type FamilyReport } from './check.ts';
import { jobsOf, type Job } from './jobs.ts';
import { stopwatchFor, type BenchClock } from '../../measure/stopwatch.ts';
import { withTuning } from '../../measure/observe.ts';
import type { RooflineShare } from '../ceilings/roofline.ts';
import { runRounds, type Burst, type Entrant, type Rounds, type RoundTime } from '../../measure/rounds.ts';
import { calibrate, type Calibration } from '../../measure/sampling.ts';
import { timedCheck } from './timed-check.ts';
import { median } from '../../measure/statistics.ts';
import { medianNs, type Timing } from '../../measure/timing.ts';

export interface KernelTiming {
  readonly family: string;
  readonly name: string;
  readonly variant: string;
  /** True for the variant that is taken when none is named. */
  readonly chosen: boolean;
  /** One of the user's own. */
  readonly registered?: true;
  /** Who chooses this one: the family by itself, or what was tuned; absent for all others. */
  readonly choice?: 'default' | 'tuned';
  /** A sample per round: the median of its burst. */
  readonly timing: Timing;
  /** Measured in fewer rounds than were to come: the run had not ended, or was cut short. */
  readonly incomplete?: true;
  /** Host time of creating its pipelines, and what their first run took more than the next; in no sample. */
  readonly compileNs?: number;
  readonly firstUseNs?: number;
  /** Present when its inputs were made cold. */
  readonly cold?: ColdInputs;
  /** Present when the canary differed beside one of its bursts. */
  readonly drift?: Drift;
  readonly flops: number;
  /** Each input and output once. */
  readonly bytes: number;
  /** Absent without a measured time. */
  readonly flopsPerSecond?: number;
  readonly bytesPerSecond?: number;
  /** Share of what this adapter can do; absent without a measured time or without the ceilings it needs. */
  readonly roof?: RooflineShare;
}

export interface KernelTimings {
  readonly rows: readonly KernelTiming[];
  readonly rounds: RoundsReport;
  /** Null when the clock cannot carry it. */
  readonly canary: CanaryReport | null;
}

export interface RoundsReport {
  /** Of the orders of the rows. */
  readonly seed: number;
  readonly count: number;
  /** Rows of the result, as indices, in the order of their bursts: by round. Absent in files of before 0.5.0. */
  readonly order?: readonly (readonly number[])[];
  /** Of each round, from the begin of the run on, by the host's clock. Absent in files of before 0.5.0. */
  readonly times?: readonly RoundTime[];
  /** A row with fewer bursts has no time. */
  readonly least: number;
}

export interface TimeKernelsOptions {
  readonly clock: BenchClock;
  /** What was checked before: a variant that failed there is not timed on any case. */
  readonly checked?: readonly FamilyReport[];
  /** Host time of all rounds; on a slow machine what is taken by default may use `OVERTIME` times as much. */
  readonly budgetNs: number;
  /** At most so many rounds; a row has a time from three on. */
  readonly mostRounds?: number;
  /** Host time until which rows that nobody takes by default are checked; the chosen ones always are. */
  readonly othersNs?: number;
  /** Only what would be chosen, by default and tuned. */
  readonly chosenOnly?: boolean;
  /** Whether a variant of a case is asked for; all are when absent. */
  readonly wants?: (kernelCase: KernelCase, variant: string) => boolean;
  /** Read around every burst; one of its own when absent. */
  readonly canary?: Canary | undefined;
  /** Times each row on inputs that this cache does not hold. */
  readonly cold?: CacheSize | undefined;
  /** What times of rounds count from, by the platform's clock; the call's own begin when absent. */
  readonly originNs?: number;
  readonly say?: (text: string) => void;
  /** Told of a row after its check, and after each of its rounds. */
  readonly onRow?: (row: LiveRow) => void;
  /** Told of all rows after each round, and before all of it ends with an error. */
  readonly onRows?: (soFar: KernelTimings) => void;
}

/** A row that is being timed: `waiting` for its rounds, `running` with the median of those it had, or at its end. */
export interface LiveRow {
  readonly family: string;
  readonly name: string;
  readonly variant: string;
  readonly chosen: boolean;
  readonly state: 'waiting' | 'running' | Timing['state'];
  readonly rounds: number;
  /** ns of one run. */
  readonly ns?: number;
  readonly reason?: string;
}

/** With fewer there is no median to speak of. */
const LEAST_ROUNDS = 3;
/** More would narrow intervals little. A guess. */
const MOST_ROUNDS = 12;
/** Times the budget that defaults without a time may take: such a run is worthless, a longer one is not. A guess. */
const OVERTIME = 3;
/** Of the orders of rounds: any. */
const SEED = 1;
export const NO_TIME = 'no time left';
const CUT_SHORT = 'the run was cut short';

/** A row that has passed its check and waits for the rounds. */
interface Ready {
  readonly job: Job;
  readonly entrant: Entrant;
  readonly calibration: Calibration;
  readonly known: Known;
  /** Host time of a burst, found by one that does not count. */
  readonly burstNs: number;
}

type Known = Pick<KernelTiming, 'compileNs' | 'firstUseNs' | 'cold'>;
type Found = { readonly timing: Timing; readonly incomplete?: true; readonly drift?: Drift } & Known;

/** Checks each case with each variant, then times those that passed, in rounds. */
export async function timeKernels(
  gpu: Gpu,
  cases: readonly KernelCase[],
  options: TimeKernelsOptions,
): Promise<KernelTimings> {
  const { chosenOnly = false, say = () => undefined, budgetNs, wants = () => true } = options;
  const { onRow = () => undefined } = options;
  const now = (): number => gpu.platform.now();
  const { originNs = now() } = options;
  const othersEnd = now() + (options.othersNs ?? Infinity);
  const jobs: Job[] = [];
  for (const kernelCase of cases) {
    const own = await jobsOf(gpu, kernelCase);
    for (const job of own) {
      if ((!chosenOnly || isAsked(job)) && wants(kernelCase, job.variant)) jobs.push(job);
    }
  }
  const found = new Map<Job, Found>();
  const ready: Ready[] = [];
  let plannedNs = 0;
  for (const job of inOrder(jobs)) {
    say(`check ${job.kernelCase.family}: ${job.kernelCase.name}, ${job.variant}`);
    const isLate = !isAsked(job) && now() > othersEnd;
    const mostNs = isAsked(job) ? OVERTIME * budgetNs : budgetNs;
    const one = isLate || !(plannedNs < mostNs) ? skipped() : await makeReady(gpu, job, options);
    if ('timing' in one) found.set(job, one);
    else if (plannedNs + LEAST_ROUNDS * one.burstNs > mostNs) found.set(job, skipped(one.known));
    else {
      plannedNs += LEAST_ROUNDS * one.burstNs;
      ready.push(one);
    }
    onRow(liveRow(job, found.get(job)?.timing));
  }
  const canary = options.canary ?? (await openCanary(gpu, options.clock));
  const began = now();
  const timingsOf = (rounds: Rounds, incomplete: boolean): KernelTimings => {
    const all = new Map(found);
    ready.forEach((one, i) => {
      const bursts = rounds.bursts[i] ?? [];
      const late = incomplete ? CUT_SHORT : NO_TIME;
      const timing = timingOf(one.calibration, options.clock, bursts, rounds.failures[i], late);
      const drift = driftOf(rounds.readings, bursts);
      const cut = incomplete && timing.state === 'measured' && { incomplete };
      all.set(one.job, { timing, ...cut, ...one.known, ...(canary && drift && { drift }) });
    });
    return {
      rows: jobs.map((job) => rowOf(job, all.get(job) ?? skipped())),
      rounds: {
        ...{ seed: SEED, count: rounds.count, least: LEAST_ROUNDS },
        order: rounds.order.map((own) => own.map((i) => jobs.indexOf(at(ready, i).job))),
        times: rounds.times.map(({ beginNs, endNs }) => ({
          ...{ beginNs: beginNs - originNs, endNs: endNs - originNs },
        })),
      },
      canary: canary === undefined ? null : canaryReport(rounds.readings),
    };
  };
  try {
    const rounds = await runRounds(
      ready.map(({ job, entrant }) => told(entrant, (samples) => onRow(liveRow(job, undefined, samples)))),
      {
        ...{ seed: SEED, least: LEAST_ROUNDS, most: options.mostRounds ?? MOST_ROUNDS, now, say },
        ...{
          endNs: began + budgetNs,
          lastNs: began + OVERTIME * budgetNs,
          canary: canary && (() => canary.read()),
          requireUsable: () => gpu.requireUsable(),
          onRound: (soFar) => options.onRows?.(timingsOf(soFar, true)),
        },
      },
    );
    return timingsOf(rounds, false);
  } finally {
    canary?.destroy();
  }
}

function liveRow(
  { kernelCase, variant, chosen }: Job,
  timing: Timing | undefined,
  samples: readonly number[] = [],
): LiveRow {
  const who = { family: kernelCase.family, name: kernelCase.name, variant, chosen, rounds: samples.length };
  if (timing === undefined) {
    return {
      ...who,
      ...(samples.length === 0 ? { state: 'waiting' } : { state: 'running', ns: median(samples) }),
    };
  }
  return { ...who, state: timing.state, ...('reason' in timing && { reason: timing.reason }) };
}

/** The same entrant, that tells its readings so far after each. */
function told(entrant: Entrant, tell: (samples: readonly number[]) => void): Entrant {
  const samples: number[] = [];
  return {
    burst: async () => {
      const windows = await entrant.burst();
      if (windows.length > 0) samples.push(median(windows));
      if (samples.length > 0) tell(samples);
      return windows;
    },
  };
}

/** Taken by someone, or given by the user. */
const isAsked = ({ choice, registered }: Job): boolean => choice !== undefined || registered;

/** What is taken first, then the rest; the cheap before the dear: when the time is up, little is missing. */
function inOrder(jobs: readonly Job[]): Job[] {
  const costOf = ({ kernelCase }: Job): number => {
    const { flops, bytes } = kernelCase.cost();
    return flops + bytes;
  };
  const rank = (job: Job): number => (job.chosen ? 0 : isAsked(job) ? 1 : 2);
  return [...jobs].sort((a, b) => rank(a) - rank(b) || costOf(a) - costOf(b));
}

function skipped(known: Known = {}): Found {
  return { timing: { state: 'skipped', reason: NO_TIME }, ...known };
}

async function makeReady(
  gpu: Gpu,
  job: Job,
  { clock, cold, checked = [] }: TimeKernelsOptions,
): Promise<Ready | Found> {
  const { kernelCase, named } = job;
  const failure = earlierFailure(checked, kernelCase, job.variant);
  if (failure !== undefined) return { timing: { state: 'failed', reason: failure } };
  // A named variant is timed among the defaults of everything else.
  const tuning = named === undefined ? gpu.tuning : undefined;
  const { result, compileNs, firstUseNs } = await withTuning(gpu, tuning, () =>
    timedCheck(gpu, kernelCase, named),
  );
  const inputs = cold && copiesFor(kernelCase.cost().bytes, cold);
  const known: Known = { compileNs, firstUseNs, ...(inputs && { cold: inputs }) };
  const failed = (reason: string): Found => ({ timing: { state: 'failed', reason }, ...known });
  if (!result.pass) return failed(result.message);
  const open = async (): Promise<OpenedRow> => {
    const prepared = await withTuning(gpu, tuning, () =>
      inCopies(inputs?.copies ?? 1, () => kernelCase.prepare(gpu, named)),
    );
    const { window } = stopwatchFor(gpu, (commands) => prepared.record(commands), clock);
    return { window, destroy: () => prepared.destroy() };
  };
  try {
    const first = await open();
    const stopwatch = {
      ...{ clock: clock.clock, grainNs: clock.grainNs },
      ...{ window: first.window, now: () => gpu.platform.now() },
    };
    let calibration: Calibration;
    try {
      calibration = await calibrate(stopwatch, { minWindowNs: LEAST_SAMPLE_NS });
    } finally {
      first.destroy();
    }
    if (calibration.refused !== undefined) return { timing: calibration.refused, ...known };
    const entrant = burstOf(open, calibration);
    const began = gpu.platform.now();
    await entrant.burst();
    return { job, entrant, calibration, known, burstNs: gpu.platform.now() - began };
  } catch (error) {
    gpu.requireUsable();
    return failed(messageOf(error));
  }
}

function timingOf(
  { repeats, warmUp }: Calibration,
  { clock }: BenchClock,
  bursts: readonly Burst[],
  failure: string | undefined,
  late: string,
): Timing {
  if (failure !== undefined) return { state: 'failed', reason: failure };
  if (bursts.length < LEAST_ROUNDS) return { state: 'skipped', reason: late };
  return {
    ...{ state: 'measured', clock, samplesNs: bursts.map(({ ns }) => ns), repeats, warmUp },
    ...{ rounds: bursts.map(({ round }) => round), windowsNs: bursts.map(({ windowsNs }) => windowsNs) },
  };
}

function rowOf({ kernelCase, variant, chosen, choice, registered }: Job, found: Found): KernelTiming {
  const { family, name } = kernelCase;
  return {
    family,
    name,
    variant,
    chosen,
    ...(registered && { registered }),
    ...(choice && { choice }),
    ...found,
    ...rates(kernelCase, found.timing),
  };
}

function rates(
  kernelCase: KernelCase,
  timing: Timing,
): Pick<KernelTiming, 'flops' | 'bytes' | 'flopsPerSecond' | 'bytesPerSecond'> {
  const { flops, bytes } = kernelCase.cost();
  const ns = medianNs(timing);
  if (ns === undefined || ns === 0) return { flops, bytes };
  const perSecond = NS_PER_S / ns;
  return { flops, bytes, flopsPerSecond: flops * perSecond, bytesPerSecond: bytes * perSecond };
}
