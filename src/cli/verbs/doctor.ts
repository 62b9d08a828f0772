/** `moebius doctor`: which adapter, how it was found, what it can do, what its smallest steps cost and what it reaches at most. */
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import type { Command } from 'commander';
import { measureCeilings } from '../../bench/ceilings/ceilings.ts';
import { examineAdapter } from '../../bench/examine.ts';
import { chooseClock } from '../../measure/stopwatch.ts';
import { swiftshaderObstacle } from '../../platform/node/swiftshader.ts';
import { renderDoctor, type DoctorFindings } from '../../report/terminal/doctor.ts';
import type { GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { versionsHere } from '../package.ts';
import { withGpu } from '../session.ts';
import { attachTuning, TUNING_FILE } from '../tuning.ts';

/** Host time to aim at for the probes; a slow adapter takes longer for the few samples that each needs. A guess. */
const CEILING_NS = 1.5e9;

/** Options of `doctor`, those of `moebius doctor`. */
export interface DoctorOptions {
  /** `auto`, or part of an adapter's name. */
  readonly adapter?: string;
  /** False ignores what was tuned. */
  readonly tuning?: boolean;
  /** What was tuned; see `TuningOptions`. */
  readonly tuningFile?: string;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

const OPTIONS: Fields = {
  adapter: 'string?',
  tuning: 'flag?',
  tuningFile: 'string?',
  signal: 'signal?',
};

/**
 * What the adapter is and how it was found; measured, what its smallest steps cost and the most that it reaches.
 * @throws ConfigError when no adapter fits.
 */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorFindings> {
  requireOptions('doctor', options, OPTIONS);
  return withGpu(options, async (gpu) => {
    const tuning = await attachTuning(gpu, options);
    const examined = await examineAdapter(gpu);
    const ceilings = await measureCeilings(gpu, { clock: await chooseClock(gpu), budgetNs: CEILING_NS });
    return {
      ...{ ...examined, ceilings, tuning, versions: versionsHere() },
      embeddedObstacle: swiftshaderObstacle() ?? null,
      longestDispatch: { flops: gpu.mostDispatchFlops, peak: gpu.peak },
    };
  });
}

export function describeDoctor(command: Command): Command {
  return command
    .description(
      'Shows which adapter is used and why, its limits and features, and measures its clocks, latencies and ceilings.',
    )
    .option(...TUNING_FILE)
    .option('--no-tuning', 'do not look for what was tuned')
    .addHelpText(
      'after',
      `
Examples:
  moebius doctor
  moebius doctor --adapter swiftshader
  moebius doctor --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<GlobalOptions & { readonly tuning: boolean }>();
      const found = await doctor(chosen(given, OPTIONS));
      await (given.json ? printJson(found) : printLines(renderDoctor(found, stdoutStyle())));
    });
}
