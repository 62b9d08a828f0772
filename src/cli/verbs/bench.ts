/** `moebius bench`: check everything, time what is right, and leave one result file. */
import type { Command } from 'commander';
import { type BenchModel, loadBenchModel } from '../../bench/model/bench-model.ts';
import { answeringModel } from '../../bench/model/given-model.ts';
import type { BenchResult } from '../../bench/result.ts';
import { SECONDS } from '../../bench/sizes.ts';
import { requirePass, runBench } from '../../bench/run.ts';
import { lastLevelCache } from '../../measure/cold.ts';
import type { Progress } from '../../bench/progress.ts';
import { requireFamily } from '../../bench/kernels/select.ts';
import { ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { formatNs } from '../../core/units.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import { renderBench } from '../../report/terminal/bench/tables.ts';
import { renderSummary } from '../../report/terminal/bench/summary.ts';
import { expertLoadLine } from '../../report/terminal/routing/expert-load.ts';
import type { ExpertLoad } from '../../runtime/expert-load.ts';
import { paragraph } from '../../report/terminal/table.ts';
import { formatResult } from '../../report/file/result-file.ts';
import { caseFamilies } from '../../validate/cases.ts';
import { familiesOf } from '../../validate/registered.ts';
import { checkResultPlace, keepResult, RESULTS, stampOf } from '../files/keep.ts';
import { METRICS, withWatchedGpu } from '../metrics/server.ts';
import { isBundled, layoutOf, loadModelOrShape, TINY_MOE } from '../model.ts';
import * as routed from './routing/engine-options.ts';
import { RECORD_ROUTING, startRecording } from './routing/record.ts';
import { loadVariants, registerAll, WITH, type WithOptions } from '../own/modules.ts';
import { collect, moreThan, type GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { commitHere, versionsHere } from '../package.ts';
import { cliProgress, isWatched } from '../progress.ts';
import { platformHere } from '../session.ts';
import { attachTuning, NO_TUNING, TUNING_FILE } from '../tuning.ts';

/** Options of `bench`, those of `moebius bench`; every one may be left out. */
export interface BenchOptions extends WithOptions, routed.EngineRoutingOptions {
  readonly adapter?: string;
  readonly quick?: boolean;
  /** One that suits the model when absent; of the bundled one the reference deployment's. */
  readonly layout?: string;
  /** A checkpoint's folder, or a config.json for random weights of its shape; the bundled tiny-moe when absent. */
  readonly model?: string;
  /** Time to measure for; compiling and checks come on top. */
  readonly seconds?: number;
  /** Only kernels of these families, without the model. */
  readonly family?: readonly string[];
  /** Only these kernels, without the model: a variant ('tiled', 'matmul/tiled') or a part of a row's name. */
  readonly kernel?: readonly string[];
  /** False ignores what was tuned. */
  readonly tuning?: boolean;
  /** What was tuned; see `TuningOptions`. */
  readonly tuningFile?: string;
  /** Inputs in so many copies that none is in a cache when its turn comes. */
  readonly cold?: boolean;
  /** A port of this machine for OpenMetrics while it runs, 0 for a free one. */
  readonly metrics?: number;
  /** Where the experts of the forward pass's tokens go, as a trace that `routing` reads; replaced when it is there. */
  readonly recordRouting?: string;
  readonly progress?: Progress;
  /** Called with the load of the model's experts so far, after every step of it whose choices are read back. */
  readonly onLoad?: (load: ExpertLoad) => void;
  /** Called whenever there is more than before; what it is given makes a result, marked as interrupted, of all there is. */
  readonly onResult?: (soFar: () => BenchResult) => void;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

const OPTIONS: Fields = {
  with: 'list?',
  adapter: 'string?',
  quick: 'flag?',
  layout: 'string?',
  model: 'string?',
  seconds: 'number?',
  family: 'list?',
  kernel: 'list?',
  tuning: 'flag?',
  tuningFile: 'string?',
  cold: 'flag?',
  metrics: 'number?',
  recordRouting: 'string?',
  ...routed.ENGINE_ROUTING_FIELDS,
  progress: 'record?',
  onLoad: 'function?',
  onResult: 'function?',
  signal: 'signal?',
};

/** The result passes or not: see its `pass`. @throws ConfigError when the bench cannot be run. */
export async function bench(options: BenchOptions = {}): Promise<BenchResult> {
  requireOptions('bench', options, OPTIONS);
  const { quick = false, progress, family = [], kernel = [] } = options;
  const { seconds = quick ? SECONDS.quick : SECONDS.full } = options;
  if (!(Number.isFinite(seconds) && seconds > 0)) {
    throw new ConfigError(`seconds (${seconds}) must be a number of more than 0.`);
  }
  const asked = family.flatMap((names) => names.split(',').map((name) => name.trim()));
  asked.forEach(requireFamily);
  const own = await loadVariants(options);
  // Those of the user's own beside ours: their families, unless others are named.
  const families = asked.length === 0 && kernel.length === 0 ? familiesOf(own) : asked;
  const model = await benchModel(options.model);
  const { config } = model.model;
  const layout = options.layout === undefined ? layoutOf(options.model, config) : parseLayout(options.layout);
  const sizing = await routed.engineRouting(options, layout, config);
  planLayout(layout, config, sizing.placement);
  const routing = routed.askedRouting(options);
  const withModel = families.length === 0 && kernel.length === 0;
  if (options.recordRouting !== undefined && !withModel) {
    throw new ConfigError(
      '--record-routing would do nothing: with --family, --kernel or --with no model is run. Leave it out.',
    );
  }
  if (routing !== undefined && !withModel) {
    throw new ConfigError(
      'a placement, a capacity or a bias would do nothing: with --family, --kernel or --with no model is run. Leave it out.',
    );
  }
  const recording = await startRecording(options, model.model.config, `bench on ${formatLayout(layout)}`);
  return withWatchedGpu('bench', options, async (gpu) => {
    await registerAll(gpu, own);
    const tuning = await attachTuning(gpu, options);
    return runBench(gpu, {
      tuning,
      ...model,
      ...{ layout, quick },
      ...{ seconds, only: { families, kernels: kernel } },
      withModel,
      versions: versionsHere(),
      commit: commitHere() ?? null,
      ...(routing !== undefined && { routing: { asked: routing, sizing } }),
      ...(options.cold && { cold: await lastLevelCache(gpu) }),
      ...(progress !== undefined && { progress }),
      ...(options.onResult !== undefined && { onResult: options.onResult }),
      live: { routed: recording.add },
    }).finally(recording.write);
  });
}

async function benchModel(named: string | undefined): Promise<BenchModel> {
  const bundled = await loadBenchModel(TINY_MOE, (path) => platformHere().readFile(path));
  if (isBundled(named) || named === undefined) return bundled;
  const model = await loadModelOrShape(named);
  try {
    return await answeringModel(model, bundled.checkpoint);
  } finally {
    await model.close();
  }
}

/** 20250131-174500-llvmpipe.json */
export function resultName({ date, adapter }: BenchResult): string {
  const name = (adapter.facts.name.toLowerCase().match(/[a-z0-9]+/g) ?? ['adapter']).slice(0, 3).join('-');
  return `${stampOf(date)}-${name}.json`;
}

interface CommandOptions extends GlobalOptions, WithOptions {
  readonly quick?: boolean;
  readonly layout?: string;
  readonly model?: string;
  readonly out?: string;
  readonly seconds?: number;
  readonly family: readonly string[];
  readonly kernel: readonly string[];
  readonly tuning: boolean;
  readonly cold?: boolean;
  readonly verbose?: boolean;
  readonly metrics?: number;
  readonly recordRouting?: string;
}

/** To its file and to stdout. */
async function keep(
  result: BenchResult,
  { out, json, verbose, recordRouting }: CommandOptions,
): Promise<void> {
  await keepResult(out, resultName(result), formatResult(result), async (place) => {
    if (json) return printJson(result);
    const where = place === undefined ? '' : ` All samples are in ${place}.`;
    const routing =
      recordRouting === undefined || result.forward === null ? '' : ` The routing is in ${recordRouting}.`;
    const end = `Took ${formatNs(result.wallNs)}.${where}${routing}`;
    const full = verbose ? [...renderBench(result, stdoutStyle()), ''] : [];
    const hint = verbose ? '' : ' --verbose prints all tables.';
    const summary = renderSummary(result, stdoutStyle());
    const account = result.forward?.routing;
    const rows = account === undefined ? [] : ['', ...paragraph(routed.accountLine(account), '')];
    await printLines([...full, ...summary, ...rows, '', ...paragraph(end + hint, '')]);
  });
}

export function describeBench(command: Command): Command {
  return routed
    .addEngineRouting(command)
    .description(
      'Checks every kernel and the model on all ranks of a layout, times what is right, sets the rates beside the ' +
        'target, and writes one JSON result file.',
    )
    .option('--quick', 'what is taken by default, at fewer sizes: a minute or so')
    .option(
      '--layout <axes>',
      `ep, pp, tp and dp (default: one that suits the model, of tiny-moe ${formatLayout(CARD_LAYOUT)})`,
    )
    .option(
      '--model <path>',
      `a checkpoint's folder, or a config.json for random weights of its shape (default: ${TINY_MOE})`,
    )
    .option('--out <file>', `where the result goes (default: ${RESULTS}/<time>-<adapter>.json)`)
    .option(
      '--seconds <n>',
      `time to measure for, on top of checks; defaults may take three times as long (default: ${SECONDS.full}, quick ${SECONDS.quick})`,
      moreThan(0),
    )
    .option(
      '--family <name>',
      `only these families, without the model: ${caseFamilies.join(', ')}; a list, or repeated`,
      collect,
      [],
    )
    .option(
      '--kernel <name>',
      "only these kernels, without the model: a variant as tiled or matmul/tiled, or a part of a row's name; a list, or repeated",
      collect,
      [],
    )
    .option(...WITH)
    .option('--cold', 'time kernels on inputs that no cache holds: enough copies in turn')
    .option('--verbose', 'print all tables before the summary')
    .option(...METRICS)
    .option(...RECORD_ROUTING)
    .option(...TUNING_FILE)
    .option(...NO_TUNING)
    .addHelpText(
      'after',
      `
Examples:
  moebius bench --quick
  moebius bench --adapter swiftshader --out swiftshader.json
  moebius bench --family matmul,moe
  moebius bench --kernel decode --kernel matmul/tiled
  moebius bench --quick --with ./mine.ts
  moebius bench --quick --layout ep=8 --placement placer --capacity 1.25 --policy spill
  moebius bench --layout ep=8,pp=2,tp=2 --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      await checkResultPlace(given.out);
      let soFar: (() => BenchResult) | undefined;
      const onResult = (latest: () => BenchResult): void => void (soFar = latest);
      let load: string | undefined;
      const onLoad = (now: ExpertLoad): void => {
        load = expertLoadLine(now, process.stderr.columns - 6);
      };
      const progress = cliProgress(given.json === true, () => load);
      const options = { ...given, onResult, progress, ...(isWatched() && { onLoad }) };
      let result: BenchResult;
      try {
        result = await bench(chosen(options, OPTIONS));
      } catch (error) {
        // What is finished is kept, however it ended.
        if (soFar !== undefined) await keep(soFar(), given);
        throw error;
      }
      await keep(result, given);
      requirePass(result);
    });
}
