/** What a bench has found so far, for those who show it while the rest is measured. Numbers may still change. */
import type { CaseResult } from '../validate/run-case.ts';
import type { Ceilings } from './ceilings/ceilings.ts';
import type { AdapterExamination } from './examine.ts';
import type { LiveRow } from './kernels/suite.ts';
import type { ForwardComparison } from './model/sharded.ts';
import type { ModelReport } from './model/check.ts';
import type { StepResult } from '../runtime/step/step.ts';
import type { BenchClock } from '../measure/stopwatch.ts';

/** Each is told of its part when it is known, and again when it has changed. */
export interface BenchLive {
  adapter?(found: AdapterExamination, clock: BenchClock): void;
  ceilings?(found: Ceilings): void;
  /** A kernel's run against float64. */
  checked?(result: CaseResult): void;
  model?(report: ModelReport): void;
  /** The first pass of all ranks over the tokens that are timed, with their experts. */
  routed?(first: StepResult): void;
  forward?(found: ForwardComparison): void;
  /** A row that is to be timed, after its check and after each of its rounds. */
  row?(row: LiveRow): void;
}
