/** `moebius profile`: where the wall time of one step goes, in rows that add to it. */
import { Option, type Command } from 'commander';
import { measureCeilings } from '../../bench/ceilings/ceilings.ts';
import { SILENT, type Progress } from '../../bench/progress.ts';
import { ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { at, range } from '../../core/math.ts';
import { NS_PER_S } from '../../core/units.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import { chooseClock } from '../../measure/stopwatch.ts';
import type { Summary } from '../../measure/statistics.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import type { HostOffset } from '../../profile/host-offset.ts';
import { profileSteps, unionNs, type ProfileDetail } from '../../profile/profile.ts';
import type { RankTime } from '../../runtime/step/virtual-cluster.ts';
import { rated, type RatedRow } from '../../profile/rates.ts';
import { renderProfile } from '../../report/terminal/profile.ts';
import { timelineOf } from '../../profile/timeline/timeline.ts';
import { createEngine } from '../../runtime/engine.ts';
import { checkOutput } from '../files/files.ts';
import { OTHER_TRACE, writeTrace } from '../files/trace-file.ts';
import { loadModel, TINY_MOE } from '../model.ts';
import { integer, requireInteger, type GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { cliProgress } from '../progress.ts';
import { withGpu } from '../session.ts';
import { attachTuning, type TuningUse, NO_TUNING, TUNING_FILE } from '../tuning.ts';

const STEPS = ['prefill', 'decode'] as const;
const DETAILS: readonly ProfileDetail[] = ['pass', 'dispatch'];
const DEFAULTS = { batch: 16, tokens: 32, rounds: 6, detail: 'pass', step: 'prefill' } as const;

/** For the probes of the roof. */
const ROOF_SECONDS = 4;

/** Options of `profile`, those of `moebius profile`. */
export interface ProfileVerbOptions {
  readonly adapter?: string;
  /** A checkpoint's folder; the bundled tiny-moe when absent. */
  readonly model?: string;
  /** The reference deployment's 128 ranks when absent. */
  readonly layout?: string;
  /** Sequences. */
  readonly batch?: number;
  /** Of each prompt. */
  readonly tokens?: number;
  readonly microBatches?: number;
  /** The prompts' step, or that of one token of each sequence after it. */
  readonly step?: (typeof STEPS)[number];
  readonly detail?: ProfileDetail;
  /** Bare steps, and as many instrumented ones. */
  readonly rounds?: number;
  /** False measures no roof: no shares of it, and no recoverable time of GPU rows. */
  readonly roof?: boolean;
  /** Where the timeline goes: Perfetto's format, or Chrome's JSON where it ends in .json; gzipped where in .gz. */
  readonly trace?: string;
  readonly tuning?: boolean;
  readonly tuningFile?: string;
  readonly progress?: Progress;
}

/** Where the wall time of one step went, and what measuring it cost. All times in ns. */
export interface ProfileReport {
  readonly adapter: AdapterFacts;
  readonly tuning: TuningUse;
  readonly model: string;
  readonly layout: string;
  readonly worldSize: number;
  readonly batch: number;
  readonly tokens: number;
  readonly microBatches: number;
  readonly step: string;
  readonly detail: ProfileDetail;
  /** One instrumented step: the times of `rows` add up to it. */
  readonly wallNs: number;
  /** What can be won first. */
  readonly rows: readonly RatedRow[];
  readonly voidPasses: number;
  /** Between the two clocks; absent without timestamps. */
  readonly offset?: HostOffset;
  /** By rank, the slowest first, if each had a device of its own and links cost nothing. */
  readonly ranks: readonly (RankTime & { readonly globalRank: number })[];
  readonly clusterNs: number;
  /** Outside of the step: the union of the kernels' compilations, and what the first step took beyond a later one. */
  readonly compileNs: number;
  readonly firstUseNs: number;
  readonly bareNs: readonly number[];
  readonly instrumentedNs: readonly number[];
  readonly cost: Summary & { readonly resolved: boolean };
}

const OPTIONS: Fields = {
  adapter: 'string?',
  model: 'string?',
  layout: 'string?',
  batch: 'number?',
  tokens: 'number?',
  microBatches: 'number?',
  step: 'string?',
  detail: 'string?',
  rounds: 'number?',
  roof: 'flag?',
  trace: 'string?',
  tuning: 'flag?',
  tuningFile: 'string?',
  progress: 'record?',
};

/**
 * Measures one step of a model, with instruments and without, and splits its wall time into rows that add up to it.
 * @throws ConfigError for a model, a layout or a number that cannot be run.
 */
export async function profile(options: ProfileVerbOptions = {}): Promise<ProfileReport> {
  requireOptions('profile', options, OPTIONS);
  const { progress = SILENT, detail = DEFAULTS.detail, step = DEFAULTS.step } = options;
  const { batch = DEFAULTS.batch, tokens = DEFAULTS.tokens, rounds = DEFAULTS.rounds } = options;
  requireInteger('batch', batch, 1);
  requireInteger('tokens', tokens, 1);
  requireInteger('rounds', rounds, 1);
  if (!DETAILS.includes(detail))
    throw new ConfigError(`detail (${detail}) must be one of ${DETAILS.join(', ')}.`);
  if (!STEPS.includes(step))
    throw new ConfigError(`step (${String(step)}) must be one of ${STEPS.join(', ')}.`);
  if (options.microBatches !== undefined) requireInteger('micro-batches', options.microBatches, 1, batch);
  if (options.trace !== undefined) await checkOutput(options.trace, { remedy: OTHER_TRACE });
  const spec = parseLayout(options.layout ?? formatLayout(CARD_LAYOUT));
  const model = await loadModel(options.model ?? TINY_MOE);
  const layout = planLayout(spec, model.config);
  const { vocabSize } = model.config;
  const ids = (count: number, sequence: number): number[] =>
    range(count).map((i) => (7 * i + sequence) % vocabSize);
  const prompts = range(batch).map((sequence) => ({ sequence, ids: ids(tokens, sequence) }));
  const continued =
    step === 'decode' ? range(batch).map((sequence) => ({ sequence, ids: ids(1, sequence) })) : undefined;
  return withGpu(options.adapter ?? 'auto', async (gpu) => {
    const tuning = await attachTuning(gpu, options);
    const clock = await chooseClock(gpu);
    const ceilings =
      options.roof === false
        ? []
        : await progress.step('roof', (say) =>
            measureCeilings(gpu, { clock, budgetNs: ROOF_SECONDS * NS_PER_S, say }),
          );
    const { result: made, kernels } = await gpu.pipelines.watching(async () => {
      const began = gpu.now();
      const engine = await createEngine(gpu, {
        ...{ layout, weights: model, maxSequences: batch },
        maxLength: tokens + (continued === undefined ? 0 : 1),
        ...(options.microBatches !== undefined && { microBatches: options.microBatches }),
      });
      return { engine, began };
    });
    const { engine, began } = made;
    try {
      const found = await progress.step('steps', (say) =>
        profileSteps(engine, {
          ...{ detail, rounds, say },
          requests: continued ?? prompts,
          before: continued && prompts,
        }),
      );
      const { account, cluster, cost, bareNs, instrumentedNs } = found;
      const globalRank = (stage: number, rank: number): number =>
        layout.rankAt({ replica: Math.floor(rank / spec.ep), stage, ep: rank % spec.ep });
      if (options.trace !== undefined) {
        const timeline = timelineOf(found.step, cluster, (stage, rank) => `rank ${globalRank(stage, rank)}`);
        await writeTrace(options.trace, timeline);
      }
      const compiled = kernels
        .filter(({ compileBeganNs }) => compileBeganNs >= began)
        .map(({ compileBeganNs, compileNs }) => ({
          beginNs: compileBeganNs,
          endNs: compileBeganNs + compileNs,
        }));
      return {
        ...{ adapter: gpu.facts, tuning, model: model.config.name, layout: formatLayout(spec) },
        ...{
          worldSize: layout.worldSize,
          batch,
          tokens,
          microBatches: found.step.microBatches,
          step,
          detail,
        },
        ...{ wallNs: account.wallNs, rows: rated(account.rows, ceilings), voidPasses: account.voidPasses },
        ...(account.offset !== undefined && { offset: account.offset }),
        ranks: cluster.ranks.map((own) => ({
          ...own,
          globalRank: globalRank(own.stage, own.rank),
        })),
        clusterNs: cluster.wallNs,
        compileNs: unionNs(compiled),
        firstUseNs: Math.max(
          0,
          found.firstNs -
            at(
              [...bareNs].sort((a, b) => a - b),
              Math.floor(rounds / 2),
            ),
        ),
        ...{ bareNs, instrumentedNs, cost: { ...cost, resolved: found.costResolved } },
      };
    } finally {
      engine.destroy();
    }
  });
}

interface CommandOptions extends GlobalOptions {
  readonly model: string;
  readonly layout: string;
  readonly batch: number;
  readonly tokens: number;
  readonly microBatches?: number;
  readonly step: (typeof STEPS)[number];
  readonly detail: ProfileDetail;
  readonly rounds: number;
  readonly trace?: string;
  readonly roof: boolean;
  readonly tuning: boolean;
}

export function describeProfile(command: Command): Command {
  return command
    .description(
      'Runs steps of a model on a layout and says where the wall time of one goes: GPU by stage and operation, host, ' +
        'gaps, read-back. The rows add to the wall time of the same step.',
    )
    .option('--model <folder>', 'a Mixtral-style checkpoint', TINY_MOE)
    .option('--layout <axes>', 'ep, pp, tp and dp', formatLayout(CARD_LAYOUT))
    .option('--batch <n>', 'sequences', integer(1), DEFAULTS.batch)
    .option('--tokens <n>', 'of each prompt', integer(1), DEFAULTS.tokens)
    .option('--micro-batches <n>', 'of a step; by default as many as are worthwhile', integer(1))
    .addOption(
      new Option('--step <which>', 'the prompts, or one further token of each')
        .choices([...STEPS])
        .default(DEFAULTS.step),
    )
    .addOption(
      new Option('--detail <what>', 'what has timestamps of its own')
        .choices([...DETAILS])
        .default(DEFAULTS.detail),
    )
    .option('--rounds <n>', 'bare steps, and as many instrumented', integer(1, 1000), DEFAULTS.rounds)
    .option(
      '--trace <file>',
      "a timeline for ui.perfetto.dev; Chrome's JSON if it ends in .json; .gz compresses",
    )
    .option('--no-roof', 'measure no roof: no shares of it')
    .option(...TUNING_FILE)
    .option(...NO_TUNING)
    .addHelpText(
      'after',
      `
Examples:
  moebius profile
  moebius profile --layout ep=1 --step decode --batch 1
  moebius profile --trace step.pftrace.gz
  moebius profile --detail dispatch --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const report = await profile(chosen({ ...given, progress: cliProgress(given.json === true) }, OPTIONS));
      await (given.json ? printJson(report) : printLines(renderProfile(report, stdoutStyle())));
    });
}
