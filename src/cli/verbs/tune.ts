/** `moebius tune`: which variant of each kernel is the fastest here, measured and kept. */
import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { measurePeak } from '../../bench/ceilings/ceilings.ts';
import { SILENT, type Progress } from '../../bench/progress.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { formatSi, NS_PER_S } from '../../core/units.ts';
import { MOST_JSON_BYTES } from '../../model/safetensors/strict-json.ts';
import { chooseClock, type BenchClock } from '../../measure/stopwatch.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import type { TuningCache } from '../../tune/cache.ts';
import type { TuningPoint } from '../../tune/point.ts';
import { renderPlan, renderRecheck, renderTune } from '../../report/terminal/tuning.ts';
import { defaultSubjects, readSubjects } from '../../tune/subjects.ts';
import {
  cacheOf,
  mergePoints,
  recheckPoints,
  tuneKernels,
  type RecheckReport,
  type TuneReport,
} from '../../tune/tune.ts';
import { kernelCases } from '../../validate/cases.ts';
import { checkRegistered, runsOf } from '../../validate/registered.ts';
import { removeVariant } from '../../kernels/variants.ts';
import { familyNamed } from '../families.ts';
import { loadVariants, registerAll, WITH, type WithOptions } from '../own/modules.ts';
import { collect, refuseIdle, type GlobalOptions } from '../options.ts';
import { complain, printJson, printLines, stdoutStyle } from '../output.ts';
import { packageVersion } from '../package.ts';
import { cliProgress } from '../progress.ts';
import { platformHere, withGpu } from '../session.ts';
import {
  addToTuningFile,
  checkTuningFile,
  readTuningFile,
  requireReplaceable,
  tellPeak,
  TUNING_FILE,
  tuningPath,
} from '../tuning.ts';

export const TUNED_FAMILIES = ['matmul', 'moe', 'moe-path', 'attention', 'gate-topk', 'router'];
/** A guess. */
const DEFAULT_SECONDS = 60;

/** Options of `tune`, those of `moebius tune`. */
export interface TuneVerbOptions extends WithOptions {
  readonly adapter?: string;
  /** Seconds to spend; 60 when absent. */
  readonly budget?: number;
  /** Families of kernels; all when absent. */
  readonly family?: readonly string[];
  /** A JSON file with shapes; those of the reference deployment when absent. */
  readonly shapes?: string;
  /** Where results are kept; see `TuningOptions`. */
  readonly tuningFile?: string;
  /** The same, by its first name. */
  readonly cache?: string;
  /** Says what would be measured and changes nothing. */
  readonly dryRun?: boolean;
  /** Measures what is kept against the defaults again, and drops what is slower. */
  readonly recheck?: boolean;
  /** Measures what an earlier run has measured as well. */
  readonly again?: boolean;
  readonly progress?: Progress;
  /** Told once when an old cache cannot be used. */
  readonly onWarning?: (line: string) => void;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** What was measured, or would be in a dry run, and the file that keeps it. */
export type TuneResult = {
  readonly adapter: AdapterFacts;
  readonly path: string;
  /** Of all shapes in the cache now, those that leave the default. */
  readonly entries: number;
  /** Why the file could not be written at the end; its last state, if any, is what it holds. */
  readonly unsaved?: string;
} & (
  ({ readonly mode: 'tuned' | 'dry run' } & TuneReport) | ({ readonly mode: 'rechecked' } & RecheckReport)
);

const OPTIONS: Fields = {
  with: 'list?',
  adapter: 'string?',
  budget: 'number?',
  family: 'list?',
  shapes: 'string?',
  tuningFile: 'string?',
  cache: 'string?',
  dryRun: 'flag?',
  recheck: 'flag?',
  again: 'flag?',
  progress: 'record?',
  onWarning: 'function?',
  signal: 'signal?',
};

/**
 * Checks and times the variants of kernel families at many shapes, and keeps those that beat the default for certain.
 * @throws ConfigError for an adapter, family, file or place that does not fit.
 */
export async function tune(options: TuneVerbOptions = {}): Promise<TuneResult> {
  requireOptions('tune', options, OPTIONS);
  const { family, shapes, dryRun = false, recheck = false } = options;
  const { progress = SILENT, onWarning = () => undefined, budget = DEFAULT_SECONDS } = options;
  const own = await loadVariants(options);
  const named = family?.map((name) => familyNamed(name, TUNED_FAMILIES));
  const families = named ?? (own.length > 0 ? [...new Set(own.map((v) => v.family))] : undefined);
  if (!(budget > 0)) throw new ConfigError(`the budget (${budget}) must be more than 0 seconds.`);
  const given =
    shapes === undefined
      ? undefined
      : readSubjects(await platformHere().readFile(shapes, MOST_JSON_BYTES), shapes);
  const place = options.tuningFile ?? options.cache;
  if (place !== undefined && !dryRun) await checkTuningFile(resolve(place));
  return withGpu(options, async (gpu) => {
    await registerAll(gpu, own);
    const path = await tuningPath(gpu.facts, place);
    if (path === undefined) {
      throw new ConfigError('there is no folder to keep the results in. Name a file with --tuning-file.');
    }
    const read = await readTuningFile(path, gpu.facts);
    if (!dryRun) {
      requireReplaceable(path, read);
      await checkTuningFile(path);
    }
    if (read?.warning !== undefined) onWarning(read.warning);
    const old = read?.cache?.points ?? [];
    if (read?.cache !== undefined) tellPeak(gpu, read.cache);
    if (gpu.peak.source === 'assumed' && !dryRun) await findPeak(gpu, budget, progress);
    const project = packageVersion();
    const kept = keeper(gpu, path, project, old);
    const common = { budgetNs: budget * NS_PER_S, project, progress, onPoints: kept.add };
    const condemned = own.length === 0 || dryRun ? [] : await withoutWrong(gpu, progress);
    if (recheck) {
      if (read?.cache === undefined) {
        throw new ConfigError(
          `there is nothing to re-check for ${gpu.facts.name} in ${path}. Run "moebius tune" first.`,
        );
      }
      const report = await recheckPoints(gpu, old, common);
      const wrong = [...condemned, ...report.wrong];
      return { mode: 'rechecked', adapter: gpu.facts, path, ...kept.state(), ...report, wrong };
    }
    const subjects = given ?? defaultSubjects(gpu);
    const report = await tuneKernels(gpu, {
      ...common,
      subjects,
      dryRun,
      known: options.again ? [] : old,
      ...(families && { families }),
    });
    // Also without a new point: a damaged file becomes a whole one.
    if (!dryRun) await kept.add([], report.clock);
    const mode = dryRun ? 'dry run' : 'tuned';
    const wrong = [...condemned, ...report.wrong];
    return { mode, adapter: gpu.facts, path, ...kept.state(), ...report, wrong };
  });
}

/** Of the time that there is for everything. A guess. */
const PEAK_SHARE = 1 / 40;
/** Seconds below which the share is too short to try all forms of the probe. */
const LEAST_PEAK_SECONDS = 0.5;

/** The f32 peak, where there is time: how long one dispatch may be follows from it. */
async function findPeak(gpu: Gpu, budget: number, progress: Progress): Promise<void> {
  const seconds = budget * PEAK_SHARE;
  if (seconds < LEAST_PEAK_SECONDS) return;
  await progress.step(
    'Measure the f32 peak, which cuts long dispatches',
    async (say) => measurePeak(gpu, { clock: await chooseClock(gpu), budgetNs: seconds * NS_PER_S, say }),
    () => `${gpu.peak.source}: ${formatSi(gpu.peak.flopsPerSecond, 'FLOP/s')}`,
  );
}

/** Holds the user's own against all cases of their families. Those that fail are told, and not measured. */
async function withoutWrong(gpu: Gpu, progress: Progress): Promise<TuneReport['wrong']> {
  const reports = await progress.step(
    'Check kernels of your own against float64',
    (say) => checkRegistered(gpu, kernelCases, { say }),
    (checked) => (checked.every(({ pass }) => pass) ? 'all pass' : 'FAILED'),
  );
  return reports.flatMap((report) => {
    const failed = runsOf(report).find(({ pass }) => !pass);
    if (failed === undefined) return [];
    removeVariant(gpu, report.family, report.variant);
    const { family, name, variant, message } = failed;
    return [{ what: `${family}, ${name}`, variant, message }];
  });
}

/** Keeps points in the file as they come. One that cannot be written now is tried again with the next. */
function keeper(
  gpu: Gpu,
  path: string,
  project: string,
  old: readonly TuningPoint[],
): {
  readonly add: (fresh: readonly TuningPoint[], clock: BenchClock) => Promise<void>;
  readonly state: () => Pick<TuneResult, 'entries' | 'unsaved'>;
} {
  let own: readonly TuningPoint[] = [];
  let all = old;
  let unsaved: string | undefined;
  return {
    add: async (fresh, clock) => {
      own = mergePoints(own, fresh);
      const cacheWith = (points: readonly TuningPoint[]): TuningCache => cacheOf(gpu, clock, project, points);
      try {
        all = await addToTuningFile(path, gpu.facts, cacheWith, own);
        unsaved = undefined;
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        all = mergePoints(all, own);
        unsaved = error.message;
      }
    },
    state: () => ({
      entries: all.filter(({ choice }) => choice !== null).length,
      ...(unsaved !== undefined && { unsaved }),
    }),
  };
}

interface CommandOptions extends GlobalOptions, WithOptions {
  readonly budget: number;
  readonly family: readonly string[];
  readonly shapes?: string;
  readonly tuningFile?: string;
  readonly cache?: string;
  readonly dryRun?: boolean;
  readonly recheck?: boolean;
  readonly again?: boolean;
}

/** '60', '60s', '2m' in seconds. */
export function seconds(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(s|m)?$/.exec(text.trim()) ?? [];
  const value = Number(number) * (unit === 'm' ? 60 : 1);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a time of more than 0, as 90s or 2m.');
  return value;
}

export function describeTune(command: Command): Command {
  return command
    .description(
      'Checks and times the variants of each kernel family at many shapes, and keeps what beats the default for ' +
        'certain. bench, op, generate and doctor use it from then on.',
    )
    .option('--budget <time>', 'to spend, as 60s or 2m', seconds, DEFAULT_SECONDS)
    .option(
      '--family <name>',
      `only these kernels: ${TUNED_FAMILIES.join(', ')}; may be repeated`,
      collect,
      [],
    )
    .option('--shapes <file>', 'a JSON list of {op, dims, attrs, dtypes, with}')
    .option(TUNING_FILE[0], "where results are kept (default: MOEBIUS_TUNING or the user's cache folder)")
    .addOption(new Option('--cache <file>', 'the same').conflicts('tuningFile').hideHelp())
    .option(...WITH)
    .option('--again', 'measure what an earlier run has measured as well')
    .option('--recheck', 'measure what is kept against the defaults, and drop what is slower')
    .option('--dry-run', 'only say what would be measured')
    .addHelpText(
      'after',
      `
Examples:
  moebius tune
  moebius tune --budget 5m --family matmul --adapter swiftshader
  moebius tune --recheck
  moebius tune --with ./mine.ts
  moebius tune --dry-run --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const { family, recheck = false, dryRun = false, ...rest } = given;
      refuseIdle(command, [
        [recheck, ['family', 'shapes', 'again'], '--recheck measures what is kept, and nothing else'],
        [recheck, ['dryRun'], '--recheck has no plan to show'],
        [dryRun, ['budget'], '--dry-run measures nothing'],
      ]);
      const warnings: string[] = [];
      const options = {
        ...rest,
        ...{ recheck, dryRun },
        ...(family.length > 0 && { family }),
        progress: cliProgress(given.json === true),
        onWarning: (line: string) => warnings.push(line),
      };
      const result = await tune(chosen(options, OPTIONS));
      for (const line of warnings) await complain(`moebius: ${line}`);
      await (given.json ? printJson(result) : printLines(linesOf(result)));
      if (result.unsaved !== undefined) throw new ConfigError(result.unsaved);
      const [first] = result.wrong;
      if (first !== undefined) {
        throw new CheckError(`${first.what}, variant ${first.variant} is wrong: ${first.message}`);
      }
    });
}

function linesOf(result: TuneResult): string[] {
  const style = stdoutStyle();
  const count = result.entries === 1 ? '1 entry' : `${result.entries} entries`;
  const end =
    result.unsaved === undefined
      ? `${count} of ${result.adapter.name} in ${result.path}.`
      : `${count} of ${result.adapter.name}, not kept.`;
  switch (result.mode) {
    case 'dry run':
      return renderPlan(result.plan, style);
    case 'tuned':
      return [...renderTune(result, style), '', end];
    case 'rechecked':
      return [...renderRecheck(result, style), '', end];
  }
}
