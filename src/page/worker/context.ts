/** What every job is given. */
import type { Gpu } from '../../gpu/gpu.ts';
import type { Platform } from '../../platform/platform.ts';
import type { Progress } from '../../bench/progress.ts';
import type { Progress as Told } from '../protocol/reports.ts';

export interface JobContext {
  readonly platform: Platform;
  /** Opens the adapter; the job's device ends with the job. */
  readonly openGpu: () => Promise<Gpu>;
  /** Aborted when the job is called off; what the device does looks at it by itself. */
  readonly signal: AbortSignal;
  /** The page's address, from which files count. */
  readonly base: string;
  readonly tell: (part: Told) => void;
  readonly steps: Progress;
  /** Of this package, and the browser that it runs in. */
  readonly versions: Readonly<Record<string, string>>;
}
