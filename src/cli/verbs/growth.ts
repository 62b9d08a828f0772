/** `moebius growth`: does time grow with tokens, experts and sequence as it should? */
import type { Command } from 'commander';
import { measureGrowth, type GrowthResult } from '../../bench/model/growth.ts';
import { GROWTH_SERIES } from '../../bench/model/growth-series.ts';
import { chooseClock, type BenchClock } from '../../measure/stopwatch.ts';
import { SILENT, type Progress } from '../../bench/progress.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { NS_PER_S } from '../../core/units.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import { renderGrowth } from '../../report/terminal/growth.ts';
import { collect, type GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { cliProgress } from '../progress.ts';
import { withGpu } from '../session.ts';
import { seconds } from './tune.ts';
import { attachTuning, type TuningUse, NO_TUNING, TUNING_FILE } from '../tuning.ts';

/** A guess. */
const DEFAULT_SECONDS = 20;

/** Options of `growth`, those of `moebius growth`. */
export interface GrowthOptions {
  readonly adapter?: string;
  /** Parts of names of series; all when absent. */
  readonly series?: readonly string[];
  /** Seconds for samples; checks come on top. */
  readonly budget?: number;
  /** False ignores what was tuned. */
  readonly tuning?: boolean;
  /** What was tuned; see `TuningOptions`. */
  readonly tuningFile?: string;
  readonly progress?: Progress;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** How time grew with size in each series, and whether that is what was expected. */
export interface GrowthReport {
  /** False when an exponent is not what it should be, or a check failed. */
  readonly pass: boolean;
  readonly adapter: AdapterFacts;
  readonly clock: BenchClock;
  readonly tuning: TuningUse;
  readonly series: readonly GrowthResult[];
}

const OPTIONS: Fields = {
  adapter: 'string?',
  series: 'list?',
  budget: 'number?',
  tuning: 'flag?',
  tuningFile: 'string?',
  progress: 'record?',
  signal: 'signal?',
};

/**
 * Measures how time grows with tokens, experts and sequence length, and judges the exponents.
 * @throws ConfigError for an adapter or a series that is not there.
 */
export function growth(options: GrowthOptions = {}): Promise<GrowthReport> {
  requireOptions('growth', options, OPTIONS);
  const { series = [], budget = DEFAULT_SECONDS, progress = SILENT } = options;
  const names = GROWTH_SERIES.map(({ name }) => name);
  const unknown = series.find((part) => !names.some((name) => name.includes(part)));
  if (unknown !== undefined) {
    throw new ConfigError(
      `there is no series "${unknown}". There is: ${names.join('; ')}. A part of a name will do.`,
    );
  }
  const wanted = GROWTH_SERIES.filter(
    ({ name }) => series.length === 0 || series.some((part) => name.includes(part)),
  );
  return withGpu(options, async (gpu) => {
    const tuning = await attachTuning(gpu, options);
    const clock = await chooseClock(gpu);
    const found = await measureGrowth(gpu, wanted, clock, budget * NS_PER_S, progress);
    const pass = unexpected(found) === undefined;
    return { pass, adapter: gpu.facts, clock, tuning, series: found };
  });
}

function unexpected(series: readonly GrowthResult[]): GrowthResult | undefined {
  return series.find(({ verdict }) => verdict !== 'as expected' && verdict !== 'unfit');
}

/** @throws CheckError for the first exponent that should not be, or check that failed. */
export function requireGrowth(series: readonly GrowthResult[]): void {
  const wrong = unexpected(series);
  if (wrong !== undefined) throw new CheckError(`${wrong.name}: ${wrong.reason}`);
}

interface CommandOptions extends GlobalOptions {
  readonly series: readonly string[];
  readonly budget: number;
  readonly tuning: boolean;
}

export function describeGrowth(command: Command): Command {
  return command
    .description(
      'Times kernels over tokens (1 to 4,096), experts (1 to 256) and sequence lengths (128 to 8,192), fits exponents, ' +
        'and sets them beside what they should be.',
    )
    .option('--series <part>', 'only series with this in their name; may be repeated', collect, [])
    .option('--budget <time>', 'for samples, as 20s or 1m; checks come on top', seconds, DEFAULT_SECONDS)
    .option(...TUNING_FILE)
    .option(...NO_TUNING)
    .addHelpText(
      'after',
      `
Examples:
  moebius growth
  moebius growth --series attention --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const report = await growth(chosen({ ...given, progress: cliProgress(given.json === true) }, OPTIONS));
      await (given.json
        ? printJson(report)
        : printLines([...renderGrowth(report.series, stdoutStyle()), '', report.tuning.note]));
      requireGrowth(report.series);
    });
}
