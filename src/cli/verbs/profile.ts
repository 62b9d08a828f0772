/** `moebius profile`: where the wall time of one run goes, in rows that add to it. */
import { Option, type Command } from 'commander';
import { measureCeilings } from '../../bench/ceilings/ceilings.ts';
import { SILENT } from '../../bench/progress.ts';
import { chosen } from '../../core/given.ts';
import { maxOf, sum } from '../../core/math.ts';
import { NS_PER_S } from '../../core/units.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { hardwareNamed } from '../../hardware/profiles/named.ts';
import { globalRank } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout } from '../../layout/spec.ts';
import { CACHE_DTYPES } from '../../memory/rank-sizes.ts';
import { median } from '../../measure/statistics.ts';
import { chooseClock } from '../../measure/stopwatch.ts';
import { clockAnchors } from '../../profile/clock-anchors.ts';
import { linksOf } from '../../profile/links.ts';
import { profileRuns, unionNs, type RunProfile } from '../../profile/profile.ts';
import { rated } from '../../profile/rates.ts';
import type { ProfiledRun } from '../../profile/run.ts';
import { timelineOf } from '../../profile/timeline/timeline.ts';
import { slotsOf } from '../../runtime/step/virtual-cluster.ts';
import { renderProfile, renderProfileSummary } from '../../report/terminal/profile/profile.ts';
import { paragraph } from '../../report/terminal/table.ts';
import { WEIGHT_DTYPES } from '../../tensor/quantised.ts';
import { checkOutput, writeWhole } from '../files/files.ts';
import { OTHER_TRACE, writeTrace } from '../files/trace-file.ts';
import { METRICS, withWatchedGpu } from '../metrics/server.ts';
import { TINY_MOE } from '../model.ts';
import { collect, integer, type GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { WITH } from '../own/modules.ts';
import {
  checkProfileOptions,
  DEFAULTS,
  DETAILS,
  OPTIONS,
  type ProfileVerbOptions,
  STEPS,
} from '../profiling/options.ts';
import type { ProfileReport } from '../profiling/report.ts';
import { planned, type Ready } from '../profiling/subjects.ts';
import { cliProgress } from '../progress.ts';
import { attachTuning, NO_TUNING, TUNING_FILE } from '../tuning.ts';
import { accountLine, addEngineRouting } from './routing/engine-options.ts';

export type { ProfileReport, ProfileVerbOptions };

/** For the probes of the roof. */
const ROOF_SECONDS = 4;

/**
 * Measures one run, of a step of a model, a generation or an op, with instruments and without, and splits its wall time
 * into rows that add up to it.
 * @throws ConfigError for a model, a layout, an op, its tensors or a number that cannot be run.
 */
export async function profile(options: ProfileVerbOptions = {}): Promise<ProfileReport> {
  checkProfileOptions(options);
  const { progress = SILENT, detail = DEFAULTS.detail, rounds = DEFAULTS.rounds } = options;
  for (const [path, remedy] of [
    [options.trace, OTHER_TRACE],
    [options.report, OTHER_REPORT],
  ] as const) {
    if (path === undefined) continue;
    const inputs = options.in === undefined ? [] : [options.in];
    await checkOutput(path, { inputs, remedy });
  }
  const plan = await planned(options);
  const measured = withWatchedGpu('profile', options, async (gpu) => {
    const tuning = await attachTuning(gpu, options);
    const clock = await chooseClock(gpu);
    const ceilings =
      options.roof === false
        ? []
        : await progress.step('roof', (say) =>
            measureCeilings(gpu, { clock, budgetNs: ROOF_SECONDS * NS_PER_S, say }),
          );
    const { ready, compileNs } = await compiling(gpu, () => plan.ready(gpu));
    try {
      const anchors = await clockAnchors(gpu);
      const links = linksFor(options, ready);
      const found = await progress.step('runs', (say) =>
        profileRuns(ready.subject, { detail, rounds, anchors, say, ...(links && { links }) }),
      );
      const rowsRouted = await ready.account?.();
      const ofLayout = (stage: number, rank: number): number =>
        ready.layout === undefined ? rank : globalRank(ready.layout, stage, rank);
      if (options.trace !== undefined) {
        const name = (stage: number, rank: number): string => `rank ${ofLayout(stage, rank)}`;
        await writeTrace(options.trace, timelineOf(found.run, found.cluster, name, found.axis));
      }
      const { account, cluster, bareNs, instrumentedNs, cost } = found;
      const report: ProfileReport = {
        ...ready.told(microBatchesOf(found.run)),
        ...{ adapter: gpu.facts, tuning, detail, wallNs: account.wallNs },
        ...{ rows: rated(account.rows, ceilings), parts: partsOf(found.run) },
        voidPasses: account.voidPasses,
        ...(rowsRouted && { rowsRouted }),
        ...(account.offset !== undefined && { offset: account.offset }),
        ranks: cluster.ranks.map((own) => ({ ...own, globalRank: ofLayout(own.stage, own.rank) })),
        ...(links && { links: links.told() }),
        ...{
          clusterNs: cluster.wallNs,
          pipeline: slotsOf(cluster),
          compileNs,
          firstUseNs: firstUseOf(found),
        },
        ...{ bareNs, instrumentedNs, cost: { ...cost, resolved: found.costResolved } },
      };
      if (options.report !== undefined) await writePage(options.report, report);
      return report;
    } finally {
      ready.destroy();
    }
  });
  return measured.finally(() => plan.close?.());
}

const OTHER_REPORT = 'Name another place with --report.';

/** @throws ConfigError when it cannot be written; what was there stays. */
async function writePage(path: string, report: ProfileReport): Promise<void> {
  // Drawing takes a while to load.
  const [{ renderProfilePage }, { parseHTML }] = await Promise.all([
    import('../../report/html/profile/page.tsx'),
    import('linkedom'),
  ]);
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  await writeWhole(path, await renderProfilePage(report, document), OTHER_REPORT);
}

/** How long kernels were compiled: what overlaps counts once. */
async function compiling(gpu: Gpu, make: () => Promise<Ready>): Promise<{ ready: Ready; compileNs: number }> {
  const began = gpu.now();
  const { result, kernels } = await gpu.pipelines.watching(make);
  const compiled = kernels
    .filter(({ compileBeganNs }) => compileBeganNs >= began)
    .map(({ compileBeganNs, compileNs }) => ({ beginNs: compileBeganNs, endNs: compileBeganNs + compileNs }));
  return { ready: result, compileNs: unionNs(compiled) };
}

function linksFor({ links }: ProfileVerbOptions, { layout }: Ready) {
  if (links === undefined || layout === undefined) return undefined;
  const profile = hardwareNamed(links);
  const modelled = linksOf(layout, profile);
  const { name: hardware, title, source } = profile;
  return { ...modelled, told: () => ({ hardware, title, source, exchanges: modelled.exchanges() }) };
}

function firstUseOf({ firstNs, bareNs }: RunProfile): number {
  return Math.max(0, firstNs - median(bareNs));
}

function microBatchesOf({ pieces }: ProfiledRun): number {
  return (
    1 +
    maxOf(
      pieces.flatMap(({ spans }) => spans.map(({ tag }) => tag.microBatch)),
      0,
    )
  );
}

function partsOf({ pieces }: ProfiledRun): ProfileReport['parts'] {
  const parts = [...new Set(pieces.flatMap(({ part }) => part ?? []))];
  return parts.map((part) => {
    const own = pieces.filter((piece) => piece.part === part);
    return { part, wallNs: sum(own.map(({ hostNs }) => hostNs)), steps: own.length };
  });
}

interface CommandOptions extends GlobalOptions {
  readonly attr: readonly string[];
  readonly verbose?: boolean;
}

export function describeProfile(command: Command): Command {
  return addEngineRouting(command)
    .description(
      'Runs a step of a model on a layout, a whole generation, or an op, and says where the wall time of one run goes: ' +
        'GPU by stage and operation, host, gaps, read-back. The rows add to the wall time of the same run.',
    )
    .option(
      '--model <path>',
      `a checkpoint's folder, or a config.json for random weights of its shape (default: ${TINY_MOE})`,
    )
    .option(
      '--layout <axes>',
      `ep, pp, tp and dp (default: one that suits the model, of tiny-moe ${formatLayout(CARD_LAYOUT)})`,
    )
    .option('--batch <n>', `sequences of a step (default: ${DEFAULTS.batch})`, integer(1))
    .option(
      '--tokens <n>',
      `of each prompt (default: ${DEFAULTS.tokens}); with --prompt how many to add (${DEFAULTS.added})`,
      integer(1),
    )
    .option('--micro-batches <n>', 'of a step; by default as many as are worthwhile', integer(1))
    .addOption(
      new Option(
        '--step <which>',
        `the prompts, or one further token of each (default: ${DEFAULTS.step})`,
      ).choices([...STEPS]),
    )
    .option('--prompt <text>', 'a generation in place of a step: prefill and decode')
    .option('--op <name>', 'an op in place of a model; "moebius op --list" shows all')
    .option('--in <file>', "safetensors file with the op's tensors; a case of the bench when absent")
    .option('--attr <name=value>', 'an attribute of the op; may be repeated', collect, [])
    .option('--variant <name>', "of the op's kernel; the best that can run when absent")
    .option(...WITH)
    .addOption(new Option('--weights <dtype>', 'how matrices are stored').choices(WEIGHT_DTYPES))
    .addOption(new Option('--cache <dtype>', 'how keys and values are stored').choices(CACHE_DTYPES))
    .addOption(
      new Option(
        '--detail <what>',
        'what has timestamps of its own; with dispatch ranks share no projections',
      )
        .choices([...DETAILS])
        .default(DEFAULTS.detail),
    )
    .option('--rounds <n>', 'bare runs, and as many instrumented', integer(1, 1000), DEFAULTS.rounds)
    .option(
      '--links <hardware>',
      'of the virtual cluster, modelled: h100-sxm, h200, gb200, ...; links are free when absent',
    )
    .option(
      '--trace <file>',
      "a timeline for ui.perfetto.dev; Chrome's JSON if it ends in .json; .gz compresses",
    )
    .option('--report <file>', 'a page of HTML: bars, pipeline, every rank; no script, opens anywhere')
    .option('--no-roof', 'measure no roof: no shares of it')
    .option('--verbose', 'all rows and all ranks, in place of the summary')
    .option(...METRICS)
    .option(...TUNING_FILE)
    .option(...NO_TUNING)
    .addHelpText(
      'after',
      `
Examples:
  moebius profile
  moebius profile --layout ep=8 --placement placer --capacity 1.25 --policy spill
  moebius profile --layout ep=1 --step decode --batch 1 --verbose
  moebius profile --prompt "ROMEO:" --tokens 20
  moebius profile --op matmul --detail dispatch
  moebius profile --op gate-topk --in in.safetensors --attr k=2
  moebius profile --trace step.pftrace.gz --report step.html
  moebius profile --links h100-sxm --trace step.pftrace.gz`,
    )
    .action(async (_options: object, command: Command) => {
      const { attr, ...given } = command.optsWithGlobals<CommandOptions>();
      const progress = cliProgress(given.json === true);
      const report = await profile(
        chosen<ProfileVerbOptions>({ ...given, ...(attr.length > 0 && { attrs: attr }), progress }, OPTIONS),
      );
      const render = given.verbose ? renderProfile : renderProfileSummary;
      const { rowsRouted } = report;
      const routed = rowsRouted === undefined ? [] : ['', ...paragraph(accountLine(rowsRouted))];
      await (given.json ? printJson(report) : printLines([...render(report, stdoutStyle()), ...routed]));
    });
}
