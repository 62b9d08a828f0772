/** `moebius layout`: who is who in a layout, and what every rank holds. */
import type { Command } from 'commander';
import { ConfigError } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { formatBytes } from '../../core/units.ts';
import { explainLayout, type LayoutExplanation } from '../../layout/explain.ts';
import { planLayout } from '../../layout/layout.ts';
import { checkGpus, readingsOf, type Reading } from '../../layout/readings.ts';
import { renderReadings } from '../../layout/render-readings.ts';
import { renderExplanation } from '../../layout/render.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import type { MoeConfig } from '../../model/config.ts';
import { readHfConfig } from '../../model/hf-config.ts';
import { presetNamed } from '../../model/presets.ts';
import { MOST_JSON_BYTES } from '../../model/safetensors/strict-json.ts';
import { integer, refuseIdle, requireInteger, type GlobalOptions } from '../options.ts';
import { printJson, printLines } from '../output.ts';
import { platformHere } from '../session.ts';

export interface LayoutOptions {
  /** 'ep=16,pp=4,tp=2,dp=2'; the reference deployment's when absent. */
  readonly layout?: string;
  /** A preset's name, or the path of a `config.json` or of a folder that has one. */
  readonly preset?: string;
  /** The number of GPUs that the user has in mind: refused when the layout has another. */
  readonly gpus?: number;
  /** The rank to follow along every axis; one that shows much is chosen when absent. */
  readonly rank?: number;
}

export interface LayoutResult extends LayoutExplanation {
  readonly readings: readonly Reading[];
}

/** @throws ConfigError for a layout that does not fit itself, the model, or the number of GPUs. */
export async function layout(options: LayoutOptions = {}): Promise<LayoutResult> {
  const spec = parseLayout(options.layout ?? formatLayout(CARD_LAYOUT));
  const config = await modelShape(options.preset ?? 'card');
  if (options.gpus !== undefined) checkGpus(spec, options.gpus);
  const plan = planLayout(spec, config);
  if (options.rank !== undefined) {
    requireInteger('rank', options.rank, 0);
    if (options.rank >= plan.worldSize) {
      throw new ConfigError(
        `rank (${options.rank}) is not in this layout; ${formatLayout(spec)} has ranks 0 to ${plan.worldSize - 1}.`,
      );
    }
  }
  const explained = explainLayout(plan, config);
  const { rank = explained.exampleRank } = options;
  const groups = explained.groups.map((group) => ({ ...group, ranks: plan.group(rank, group.axis) }));
  return { ...explained, exampleRank: rank, groups, readings: readingsOf(spec, options.gpus) };
}

/** The shape of a model by preset or by path. */
export async function modelShape(preset: string): Promise<MoeConfig> {
  if (!/[/\\]|\.json$/.test(preset)) return presetNamed(preset).config;
  const path = preset.endsWith('.json') ? preset : `${preset.replace(/[/\\]+$/, '')}/config.json`;
  const name = at(path.split(/[/\\]/).slice(-2), 0) || path;
  return readHfConfig(await platformHere().readFile(path, MOST_JSON_BYTES), name, path);
}

interface CommandOptions extends GlobalOptions {
  readonly preset: string;
  readonly gpus?: number;
  readonly rank?: number;
  readonly readings?: boolean;
}

export function describeLayout(command: Command): Command {
  return command
    .description('Explains a layout: its two views, its groups, and what every rank holds. Needs no GPU.')
    .argument('[axes...]', 'ep=16,pp=4,tp=2,dp=2 or separate words; the reference layout when absent')
    .option('--preset <name>', 'model preset, or the path of a config.json', 'card')
    .option('--gpus <n>', 'refuse the layout unless it has this many GPUs', integer(1))
    .option('--rank <r>', 'follow this rank along every axis', integer(0))
    .option('--readings', 'every way to read the tuple, with its world size')
    .addHelpText(
      'after',
      `
Examples:
  moebius layout ep=16,pp=4,tp=2,dp=2 --gpus 128
  moebius layout ep=8 tp=2 --preset mixtral-8x7b
  moebius layout --rank 37`,
    )
    .action(async (axes: string[], _options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const text = given.readings === true && given.json !== true;
      refuseIdle(command, [[text, ['rank'], '--readings shows no ranks, but with --json']]);
      const result = await layout({ ...given, ...(axes.length > 0 && { layout: axes.join(',') }) });
      if (given.json) return printJson(result);
      if (given.readings) return printLines([renderReadings(result.spec, given.gpus)]);
      const share = given.rank === undefined ? [] : ['', rankLine(result)];
      await printLines([renderExplanation(result), ...share]);
    });
}

function rankLine({ ranks, exampleRank, bytesPerWeight }: LayoutResult): string {
  const { params, bytes } = at(ranks, exampleRank);
  return (
    `Rank ${exampleRank} holds ${params.total.toLocaleString('en')} weights, ` +
    `${formatBytes(bytes)} at ${bytesPerWeight} bytes each.`
  );
}
