/** What a bench run finds: plain data, the same that goes into the result file. `report/file/schema.ts` describes it. */
import type { CanaryReport } from '../measure/canary.ts';
import type { CardRate } from './model/card-rate.ts';
import type { Ceilings } from './ceilings/ceilings.ts';
import type { CacheSize } from '../measure/cold.ts';
import type { AdapterExamination } from './examine.ts';
import type { HostTiming } from './host-tasks.ts';
import type { FamilyReport } from './kernels/check.ts';
import type { KernelTiming, RoundsReport } from './kernels/suite.ts';
import type { MachineLoad } from '../measure/load.ts';
import type { BenchClock } from '../measure/stopwatch.ts';
import type { ModelReport } from './model/check.ts';
import type { GrowthResult } from './model/growth.ts';
import type { ForwardComparison } from './model/sharded.ts';
import type { TargetComparison } from './model/throughput.ts';
import type { RegisteredFacts } from '../validate/registered.ts';
import type { Interruption } from './progress.ts';
import type { Verdict } from './verdict.ts';

export const RESULT_SCHEMA = 'moebius-bench';
/** Raised when a field changes its meaning or goes away. New fields don't raise it. */
export const RESULT_VERSION = 2;

/** Where a number comes from. */
export type Provenance = 'measured' | 'modelled' | 'assumed';

/** Everything that `bench` found; `sources` says of each part whether it was measured, modelled or assumed. */
export interface BenchResult {
  readonly schema: typeof RESULT_SCHEMA;
  readonly version: typeof RESULT_VERSION;
  /** Of this run and no other (UUID). Absent in files of before 0.5.0. */
  readonly runId?: string;
  /** When it ended: ISO 8601, UTC. */
  readonly date: string;
  readonly quick: boolean;
  readonly layout: string;
  readonly model: string;
  /** The commit of the checkout, '+changes' when files differ from it; null outside of one. */
  readonly commit: string | null;
  readonly versions: Readonly<Record<string, string>>;
  /** Measured, and what the adapter says of itself. */
  readonly adapter: AdapterExamination;
  readonly clock: BenchClock;
  /** Measured: the most that this adapter does of one thing. */
  readonly ceilings: Ceilings;
  /** True when every check passed and all that is taken by default was measured. */
  readonly pass: boolean;
  readonly checks: {
    readonly kernels: readonly FamilyReport[];
    /** Runs of variants that are not taken by default for which there was no time. */
    readonly notRun: number;
    /** Null when only some kernels were asked for. */
    readonly model: ModelReport | null;
    /** Variants of the user's own, one by one; their runs are counted in `kernels`. Absent when there were none. */
    readonly registered?: readonly RegisteredFacts[];
  };
  /** Measured. */
  readonly kernels: readonly KernelTiming[];
  /** How the samples of `kernels` were taken: one per round. Null in what was version 1: those of a row lie side by side. */
  readonly rounds: RoundsReport | null;
  /** Measured around every burst of `kernels`. Null when the clock cannot carry it. */
  readonly canary: CanaryReport | null;
  /** What else ran on the machine meanwhile. Null where the platform does not tell. */
  readonly load: MachineLoad | null;
  /** The cache that inputs were kept out of. Null: inputs were warm. */
  readonly cold: CacheSize | null;
  /** What was tuned for this adapter. Null when nobody looked. */
  readonly tuning: BenchTuning | null;
  /** Measured: how time grows with size. Absent in quick runs, of some kernels only, and where no time was left. */
  readonly growth?: readonly GrowthResult[];
  /** Measured. Null when a check failed before, or only some kernels were asked for. */
  readonly forward: ForwardComparison | null;
  /** Measured, on `model`: tokens per ms that one GPU of N passes, see `RATE_NOTE`. Null without a forward pass. */
  readonly rates: BenchRates | null;
  /** Modelled on `target.assumptions`. */
  readonly target: TargetComparison;
  /** Measured on a GPU only: what the target is judged by. Null elsewhere, and when a check failed before. */
  readonly card: CardRate | null;
  /** Measured. */
  readonly host: readonly HostTiming[];
  readonly verdict: Verdict;
  /** The run was cut short, or has not ended: what is missing was not done. Absent from a whole result. */
  readonly interrupted?: Interruption;
  /** Host time of the whole run, ns. */
  readonly wallNs: number;
  /** Provenance of the numbers of each part. */
  readonly sources: Readonly<
    Record<'ceilings' | 'kernels' | 'forward' | 'rates' | 'target' | 'card' | 'host', Provenance>
  >;
}

export interface BenchTuning {
  readonly state: string;
  /** One line. */
  readonly note: string;
  readonly path?: string;
  readonly entries: number;
}

export interface BenchRates {
  readonly clock: 'host';
  readonly tokensPerMsPerGpu: number;
  readonly unshardedTokensPerMs: number;
  /** GEMM and attention FLOP of the forward pass over its time. */
  readonly usefulFlopsPerSecond: number;
}
