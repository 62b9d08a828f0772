/** `moebius validate`: is every kernel right on this adapter, and the model on all ranks of a layout? */
import type { Command } from 'commander';
import { loadBenchModel } from '../../bench/model/bench-model.ts';
import { SILENT, type Progress } from '../../bench/progress.ts';
import { failureText } from '../../bench/kernels/check.ts';
import { validate as validateOn, type ValidateResult } from '../../bench/validate.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import type { OwnVariant } from '../../kernels/registered/own-variant.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import { opByName, ops } from '../../ops/ops.ts';
import type { Platform } from '../../platform/platform.ts';
import { renderFamilies, renderModel, renderRegistered } from '../../report/terminal/checks.ts';
import { caseFamilies, casesOf, kernelCases } from '../../validate/cases.ts';
import { fuzzOp, type FuzzReport } from '../../validate/draw/fuzz.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import { readShape, TINY_MOE } from '../model.ts';
import { familyNamed } from '../families.ts';
import { loadVariants, registerAll, WITH, type WithOptions } from '../own/modules.ts';
import { integer, MOST_SEED, refuseIdle, requireInteger, type GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { cliProgress } from '../progress.ts';
import { platformHere, withGpu } from '../session.ts';

/** Options of `validate`, those of `moebius validate`. */
export interface ValidateOptions extends WithOptions {
  readonly adapter?: string;
  readonly quick?: boolean;
  /** Only the kernels of one family, without the model. */
  readonly family?: string;
  readonly layout?: string;
  /** So many random cases of every op, or of `family`, instead of the fixed cases and the model. */
  readonly fuzz?: number;
  /** Of the first random case; the others follow it. */
  readonly seed?: number;
  readonly progress?: Progress;
  /** Called whenever there is more than before; what it is given makes a result, marked as interrupted, of all there is. */
  readonly onResult?: (soFar: () => ValidateResult) => void;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** Random cases of one op: more would take weeks. */
const MOST_CASES = 1_000_000;

const OPTIONS: Fields = {
  adapter: 'string?',
  quick: 'flag?',
  family: 'string?',
  layout: 'string?',
  fuzz: 'number?',
  seed: 'number?',
  progress: 'record?',
  with: 'list?',
  onResult: 'function?',
  signal: 'signal?',
};

/** The result passes or not: see its `pass`. @throws ConfigError for an unknown family, layout or adapter. */
export async function validate(options: ValidateOptions = {}): Promise<ValidateResult> {
  requireOptions('validate', options, OPTIONS);
  const { quick = false, progress = SILENT, onResult } = options;
  const family = options.family === undefined ? undefined : familyNamed(options.family, caseFamilies);
  const named = family !== undefined && { family };
  const own = await loadVariants(options);
  if (options.fuzz !== undefined) return fuzz(options.fuzz, own, { ...options, ...named });
  const layout = options.layout ?? formatLayout(CARD_LAYOUT);
  const spec = parseLayout(layout);
  const registeredOnly = own.length > 0;
  if (registeredOnly) requireOwn(own, family === undefined ? kernelCases : casesOf(family), quick, family);
  const readFile: Platform['readFile'] = (...args) => platformHere().readFile(...args);
  const model = registeredOnly || family !== undefined ? undefined : await loadBenchModel(TINY_MOE, readFile);
  planLayout(spec, model?.model.config ?? (await readShape(TINY_MOE)));
  return withGpu(options, async (gpu) => {
    await registerAll(gpu, own);
    return validateOn(gpu, {
      ...{ quick, registeredOnly, layout, progress },
      ...named,
      ...(model && { model }),
      ...(onResult && { onResult }),
    });
  });
}

/** @throws ConfigError when none of the variants has anything to do with the family. */
function requireOwn(
  own: readonly OwnVariant[],
  all: readonly KernelCase[],
  quick: boolean,
  family?: string,
): void {
  const cases = quick ? all.filter((one) => one.quick) : all;
  if (own.some((variant) => cases.some(({ op }) => op?.registry === variant.family))) return;
  const families = [...new Set(own.map((variant) => variant.family))].join(', ');
  throw new ConfigError(
    `none of the variants that were given runs cases of ${family ?? 'this selection'}; they are of ${families}. Leave --family out.`,
  );
}

/** Random cases only: they say what the fixed ones cannot. */
async function fuzz(
  cases: number,
  own: readonly OwnVariant[],
  options: ValidateOptions,
): Promise<ValidateResult> {
  const { family, seed = 1, progress = SILENT } = options;
  requireInteger('fuzz', cases, 1, MOST_CASES);
  requireInteger('seed', seed, 0, MOST_SEED);
  const all = family === undefined ? ops : [opByName(family)];
  const drawn = all.filter(({ registry }) => own.length === 0 || own.some((v) => v.family === registry));
  if (drawn.length === 0) requireOwn(own, [], false, family);
  return withGpu(options, async (gpu) => {
    await registerAll(gpu, own);
    const reports: FuzzReport[] = [];
    for (const op of drawn) {
      const report = await progress.step(
        `${op.name}: ${cases} random cases from seed ${seed} on ${gpu.facts.name}`,
        (say) => fuzzOp(gpu, op, { cases, seed, say, with: options.with ?? [] }),
        ({ runs, failures }) =>
          failures.length === 0 ? `${runs} runs, all pass` : `${failures.length} FAILED`,
      );
      reports.push(report);
    }
    if (own.length > 0 && reports.every(({ runs }) => runs === 0)) {
      throw new ConfigError(
        `the variants that were given refuse all ${cases} random cases. Draw more of them.`,
      );
    }
    const pass = reports.every(({ failures }) => failures.length === 0);
    return {
      ...{ pass, adapter: gpu.facts, quick: false, model: null, fuzz: reports },
      families: reports.map(({ family: name, cases: count, runs, failures, worstShare }) => ({
        ...{ family: name, cases: count, runs, failed: failures.length, worstShare, failures },
      })),
    };
  });
}

interface CommandOptions extends GlobalOptions, WithOptions {
  readonly quick?: boolean;
  readonly family?: string;
  readonly layout: string;
  readonly fuzz?: number;
  readonly seed: number;
}

export function describeValidate(command: Command): Command {
  return command
    .description(
      'Checks every variant of every kernel against float64, then the bundled model on all ranks of a layout ' +
        'against one rank and known answers.',
    )
    .option('--quick', 'a subset, within seconds')
    .option('--family <name>', `only these kernels: ${caseFamilies.join(', ')}`)
    .option('--layout <axes>', 'ep, pp, tp and dp', formatLayout(CARD_LAYOUT))
    .option('--fuzz <n>', 'instead: n random cases of each op, or of one family', integer(1, MOST_CASES))
    .option('--seed <n>', 'of the first random case', integer(0, MOST_SEED), 1)
    .option(...WITH)
    .addHelpText(
      'after',
      `
Examples:
  moebius validate --quick
  moebius validate --family moe --adapter swiftshader
  moebius validate --fuzz 500 --seed 7
  moebius validate --with ./mine.ts
  moebius validate --layout ep=4,pp=2,tp=2 --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const { fuzz: cases, family } = given;
      refuseIdle(command, [
        [cases !== undefined, ['quick', 'layout'], '--fuzz runs random cases only'],
        [cases === undefined, ['seed'], 'only random cases have a seed (--fuzz)'],
        [family !== undefined, ['layout'], 'with --family the model is not run'],
        [given.with?.length !== 0, ['layout'], 'with --with the model is not run'],
      ]);
      let soFar: (() => ValidateResult) | undefined;
      const onResult = (latest: () => ValidateResult): void => void (soFar = latest);
      const print = (found: ValidateResult): Promise<void> =>
        given.json ? printJson(found) : printLines(renderResult(found));
      const options = { ...given, onResult, progress: cliProgress(given.json === true) };
      const result = await validate(chosen(options, OPTIONS)).catch(
        async (error: unknown): Promise<never> => {
          // What is finished is told, however it ended.
          if (soFar !== undefined) await print(soFar());
          throw error;
        },
      );
      await print(result);
      if (!result.pass) throw new CheckError(summaryOf(result));
    });
}

function renderResult(result: ValidateResult): string[] {
  const { adapter, families, registered, model, quick, fuzz, interrupted } = result;
  const style = stdoutStyle();
  const lines = [
    style.bold(
      `${fuzz ? 'Random cases' : 'Kernels'} against float64 on ${adapter.name}${quick ? ' (quick subset)' : ''}`,
    ),
    ...renderFamilies(families, style),
    ...renderRegistered(registered ?? []),
    ...(fuzz ?? [])
      .flatMap(({ failures }) => failures.map(({ command }) => `  repeat: ${command}`))
      .slice(0, 8),
  ];
  if (model !== null) {
    lines.push('', style.bold(`${model.model} on ${model.worldSize} ranks (${model.layout}) and on one`));
    for (const line of renderModel(model, style)) lines.push(line);
  }
  if (interrupted !== undefined)
    lines.push('', `CUT SHORT during "${interrupted.during}": ${interrupted.reason}`);
  return lines;
}

function summaryOf({ families, model, fuzz }: ValidateResult): string {
  const first = fuzz?.flatMap((report) => report.failures)[0];
  const failures = [
    ...families.flatMap(({ family, failures: runs }) => runs.map((run) => failureText(family, run))),
    ...(model?.error === undefined ? [] : [`${model.model}: ${model.error}`]),
    ...(model?.checks ?? [])
      .filter((c) => !c.pass)
      .map((c) => `${c.what}, ${c.who} - ${c.against}: ${c.found}`),
  ];
  const count = failures.length === 1 ? '1 check failed' : `${failures.length} checks failed; the first`;
  return `${count}: ${failures[0] ?? 'unknown'}${first === undefined ? '' : `. Repeat: ${first.command}`}`;
}
