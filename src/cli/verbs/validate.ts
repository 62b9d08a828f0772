/** `moebius validate`: is every kernel right on this adapter, and the model on all ranks of a layout? */
import type { Command } from 'commander';
import { checkKernels, failureText, type FamilyReport } from '../../bench/kernels/check.ts';
import { readKnownAnswers } from '../../bench/model/known-answers.ts';
import { checkModelAfter, type ModelReport } from '../../bench/model/check.ts';
import { SILENT, type Progress } from '../../bench/progress.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import type { OwnVariant } from '../../kernels/registered/own-variant.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import { opByName, ops } from '../../ops/ops.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import { renderFamilies, renderModel, renderRegistered } from '../../report/terminal/checks.ts';
import { caseFamilies, casesOf, kernelCases } from '../../validate/cases.ts';
import { fuzzOp, type FuzzReport } from '../../validate/draw/fuzz.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import type { RegisteredFacts } from '../../validate/registered.ts';
import { loadModel, TINY_MOE } from '../model.ts';
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
}

/** What was checked, family by family and of the model; `pass` is true when nothing failed. */
export interface ValidateResult {
  readonly pass: boolean;
  readonly adapter: AdapterFacts;
  readonly quick: boolean;
  readonly families: readonly FamilyReport[];
  /** The user's own variants, when modules of them were given: then only these were checked. */
  readonly registered?: readonly RegisteredFacts[];
  /** Null when only one family, or random cases, were asked for. */
  readonly model: ModelReport | null;
  /** One report per op; absent unless random cases were asked for. */
  readonly fuzz?: readonly FuzzReport[];
}

/** Random cases of one op: more would take weeks. */
const MOST_CASES = 1_000_000;

/** Guesses. */
const SIZES = {
  quick: { prompts: 1, tokens: 20, windows: 1 },
  full: { prompts: 2, tokens: 100, windows: 8 },
} as const;

const OPTIONS: Fields = {
  adapter: 'string?',
  quick: 'flag?',
  family: 'string?',
  layout: 'string?',
  fuzz: 'number?',
  seed: 'number?',
  progress: 'record?',
  with: 'list?',
};

/** The result passes or not: see its `pass`. @throws ConfigError for an unknown family, layout or adapter. */
export async function validate(options: ValidateOptions = {}): Promise<ValidateResult> {
  requireOptions('validate', options, OPTIONS);
  const { adapter = 'auto', quick = false, progress = SILENT } = options;
  const family = options.family === undefined ? undefined : familyNamed(options.family, caseFamilies);
  const own = await loadVariants(options);
  if (options.fuzz !== undefined)
    return fuzz(adapter, options.fuzz, own, { ...options, ...(family !== undefined && { family }) });
  const spec = parseLayout(options.layout ?? formatLayout(CARD_LAYOUT));
  const all = family === undefined ? kernelCases : casesOf(family);
  const cases = quick ? all.filter((c) => c.quick) : all;
  if (own.length > 0) return validateOwn(own, cases, { ...options, adapter });
  const model = await loadModel(TINY_MOE);
  planLayout(spec, model.config);
  return withGpu(adapter, async (gpu) => {
    const { families } = await progress.step(
      `Check kernels against float64 on ${gpu.facts.name}`,
      (say) => checkKernels(gpu, cases, { say }),
      (checked) => (checked.families.every(({ failed }) => failed === 0) ? 'all pass' : 'FAILED'),
    );
    const kernelsPass = families.every(({ failed }) => failed === 0);
    let report: ModelReport | null = null;
    if (family === undefined) {
      const answers = await readKnownAnswers(TINY_MOE, (path) => platformHere().readFile(path));
      const sizes = quick ? SIZES.quick : SIZES.full;
      report = await progress.step(
        `Check ${model.config.name} on the ranks of ${formatLayout(spec)}`,
        (say) => checkModelAfter(kernelsPass, gpu, model, { layout: spec, answers, ...sizes, say }),
        ({ pass, checks }) => (pass ? `${checks.length} checks pass` : 'FAILED'),
      );
    }
    return { pass: hasPassed(families, report), adapter: gpu.facts, quick, families, model: report };
  });
}

/** The user's own variants only, on the given cases of their families. */
async function validateOwn(
  own: readonly OwnVariant[],
  cases: readonly KernelCase[],
  { adapter = 'auto', quick = false, family, progress = SILENT }: ValidateOptions,
): Promise<ValidateResult> {
  requireOwn(own, cases, family);
  return withGpu(adapter, async (gpu) => {
    await registerAll(gpu, own);
    const { families, registered } = await progress.step(
      `Check kernels of your own against float64 on ${gpu.facts.name}`,
      (say) => checkKernels(gpu, cases, { registeredOnly: true, say }),
      (checked) => (checked.registered.every(({ pass }) => pass) ? 'all pass' : 'FAILED'),
    );
    return { pass: hasPassed(families, null), adapter: gpu.facts, quick, families, registered, model: null };
  });
}

/** @throws ConfigError when none of the variants has anything to do with the family. */
function requireOwn(own: readonly OwnVariant[], cases: readonly KernelCase[], family?: string): void {
  if (own.some((variant) => cases.some(({ op }) => op?.registry === variant.family))) return;
  const families = [...new Set(own.map((variant) => variant.family))].join(', ');
  throw new ConfigError(
    `none of the variants that were given runs cases of ${family ?? 'this selection'}; they are of ${families}. Leave --family out.`,
  );
}

/** @param model null when it was not asked for. */
export function hasPassed(
  families: readonly Pick<FamilyReport, 'failed'>[],
  model: Pick<ModelReport, 'pass'> | null,
): boolean {
  return families.every(({ failed }) => failed === 0) && (model === null || model.pass);
}

/** Random cases only: they say what the fixed ones cannot. */
async function fuzz(
  adapter: string,
  cases: number,
  own: readonly OwnVariant[],
  options: ValidateOptions,
): Promise<ValidateResult> {
  const { family, seed = 1, progress = SILENT } = options;
  requireInteger('fuzz', cases, 1, MOST_CASES);
  requireInteger('seed', seed, 0, MOST_SEED);
  const all = family === undefined ? ops : [opByName(family)];
  const drawn = all.filter(({ registry }) => own.length === 0 || own.some((v) => v.family === registry));
  if (drawn.length === 0) requireOwn(own, [], family);
  return withGpu(adapter, async (gpu) => {
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
      const result = await validate(
        chosen({ ...given, progress: cliProgress(given.json === true) }, OPTIONS),
      );
      await (given.json ? printJson(result) : printLines(renderResult(result)));
      if (!result.pass) throw new CheckError(summaryOf(result));
    });
}

function renderResult({ adapter, families, registered, model, quick, fuzz }: ValidateResult): string[] {
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
