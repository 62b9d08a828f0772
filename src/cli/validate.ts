/** `moebius validate`: is every kernel right on this adapter, and the model on all ranks of a layout? */
import type { Command } from 'commander';
import { checkKernels, failureText, type FamilyReport } from '../bench/kernel-suite.ts';
import { readKnownAnswers } from '../bench/known-answers.ts';
import { checkModelAfter, type ModelReport } from '../bench/model-check.ts';
import { SILENT, type Progress } from '../bench/progress.ts';
import { CheckError, ConfigError } from '../core/errors.ts';
import { planLayout } from '../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../layout/spec.ts';
import { nearest } from '../model/presets.ts';
import type { AdapterFacts } from '../platform/platform.ts';
import { renderFamilies, renderModel } from '../report/checks.ts';
import { caseFamilies, casesOf, kernelCases } from '../validate/cases.ts';
import { loadModel, TINY_MOE } from './model.ts';
import type { GlobalOptions } from './options.ts';
import { printJson, printLines, stdoutStyle } from './output.ts';
import { cliProgress } from './progress.ts';
import { platformHere, withGpu } from './session.ts';

export interface ValidateOptions {
  readonly adapter?: string;
  readonly quick?: boolean;
  /** Only the kernels of one family, without the model. */
  readonly family?: string;
  readonly layout?: string;
  readonly progress?: Progress;
}

export interface ValidateResult {
  readonly pass: boolean;
  readonly adapter: AdapterFacts;
  readonly quick: boolean;
  readonly families: readonly FamilyReport[];
  /** Null when only one family was asked for. */
  readonly model: ModelReport | null;
}

const SIZES = {
  quick: { prompts: 1, tokens: 20, windows: 1 },
  full: { prompts: 2, tokens: 100, windows: 8 },
} as const;

/** The result passes or not: see its `pass`. @throws ConfigError for an unknown family, layout or adapter. */
export async function validate(options: ValidateOptions = {}): Promise<ValidateResult> {
  const { adapter = 'auto', quick = false, family, progress = SILENT } = options;
  if (family !== undefined && !caseFamilies.includes(family)) {
    const near = nearest(family, caseFamilies);
    const hint = near === undefined ? '' : ` (did you mean "${near}"?)`;
    throw new ConfigError(
      `there is no kernel family "${family}"${hint}. Families: ${caseFamilies.join(', ')}.`,
    );
  }
  const spec = parseLayout(options.layout ?? formatLayout(CARD_LAYOUT));
  const all = family === undefined ? kernelCases : casesOf(family);
  const cases = quick ? all.filter((c) => c.quick) : all;
  const model = await loadModel(TINY_MOE);
  planLayout(spec, model.config);
  return withGpu(adapter, async (gpu) => {
    const families = await progress.step(
      `Check kernels against float64 on ${gpu.facts.name}`,
      (say) => checkKernels(gpu, cases, say),
      (reports) => (reports.every(({ failed }) => failed === 0) ? 'all pass' : 'FAILED'),
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
    const pass = kernelsPass && report?.pass !== false;
    return { pass, adapter: gpu.facts, quick, families, model: report };
  });
}

interface CommandOptions extends GlobalOptions {
  readonly quick?: boolean;
  readonly family?: string;
  readonly layout: string;
}

export function addValidate(program: Command): Command {
  return program
    .command('validate')
    .summary('check every kernel and the model on all ranks')
    .description(
      'Checks every variant of every kernel against float64, then the bundled model on all ranks of a layout ' +
        'against one rank and known answers.',
    )
    .option('--quick', 'a subset, within seconds')
    .option('--family <name>', `only these kernels: ${caseFamilies.join(', ')}`)
    .option('--layout <axes>', 'ep, pp, tp and dp', formatLayout(CARD_LAYOUT))
    .addHelpText(
      'after',
      `
Examples:
  moebius validate --quick
  moebius validate --family moe --adapter swiftshader
  moebius validate --layout ep=4,pp=2,tp=2 --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const result = await validate({ ...given, progress: cliProgress(given.json === true) });
      await (given.json ? printJson(result) : printLines(renderResult(result)));
      if (!result.pass) throw new CheckError(summaryOf(result));
    });
}

function renderResult({ adapter, families, model, quick }: ValidateResult): string[] {
  const style = stdoutStyle();
  const lines = [
    style.bold(`Kernels against float64 on ${adapter.name}${quick ? ' (quick subset)' : ''}`),
    ...renderFamilies(families, style),
  ];
  if (model !== null) {
    lines.push('', style.bold(`${model.model} on ${model.worldSize} ranks (${model.layout}) and on one`));
    lines.push(...renderModel(model, style));
  }
  return lines;
}

function summaryOf({ families, model }: ValidateResult): string {
  const failures = [
    ...families.flatMap(({ family, failures: runs }) => runs.map((run) => failureText(family, run))),
    ...(model?.error === undefined ? [] : [`${model.model}: ${model.error}`]),
    ...(model?.checks ?? [])
      .filter((c) => !c.pass)
      .map((c) => `${c.what}, ${c.who} - ${c.against}: ${c.found}`),
  ];
  const count = failures.length === 1 ? '1 check failed' : `${failures.length} checks failed; the first`;
  return `${count}: ${failures[0] ?? 'unknown'}`;
}
