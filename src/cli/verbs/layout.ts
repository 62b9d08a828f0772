/** `moebius layout`: who is who in a layout, and what every rank holds. */
import { type Command, Option } from 'commander';
import { ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { at } from '../../core/math.ts';
import { quoted } from '../../core/text/quoted.ts';
import { formatBytes } from '../../core/units.ts';
import { layoutFor } from '../../layout/default-layout.ts';
import { explainLayout, type LayoutExplanation } from '../../layout/explain.ts';
import { planLayout, type Layout } from '../../layout/layout.ts';
import { checkGpus, readingsOf, type Reading } from '../../layout/readings.ts';
import { renderReadings } from '../../layout/render-readings.ts';
import { drawRanks } from '../../layout/rank-map.ts';
import { drawReadings } from '../../layout/reading-map.ts';
import { renderExplanation } from '../../layout/render.ts';
import { CARD_LAYOUT, formatLayout, parseLayout, type LayoutSpec } from '../../layout/spec.ts';
import { explainMemory, type MemoryExplanation, renderMemory } from '../../memory/explain.ts';
import { CACHE_DTYPES, type CacheDtype } from '../../memory/rank-sizes.ts';
import type { MoeConfig } from '../../model/config.ts';
import { presetNamed } from '../../model/presets.ts';
import { readShape } from '../model.ts';
import { checkOutput, writeWhole } from '../files/files.ts';
import * as asked from './routing/engine-options.ts';
import { integer, refuseIdle, requireInteger, type GlobalOptions } from '../options.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../../tensor/quantised.ts';
import { printJson, printLines } from '../output.ts';

/** Options of `layout`, those of `moebius layout`. */
export interface LayoutOptions extends asked.PlacementOptions {
  /** 'ep=16,pp=4,tp=2,dp=2'; the reference deployment's when absent, of `model` one that suits it. */
  readonly layout?: string;
  /** A preset's name, or the path of a `config.json` or of a folder that has one. */
  readonly preset?: string;
  /** The path of a model's folder or of its `config.json`, in place of a preset. */
  readonly model?: string;
  /** The number of GPUs that the user has in mind: refused when the layout has another. */
  readonly gpus?: number;
  /** The rank to follow along every axis; one that shows much is chosen when absent. */
  readonly rank?: number;
  /** Sequences at once, for the memory of a rank; one for each attention group when absent. */
  readonly sequences?: number;
  /** Positions of one; 2,048 when absent, or as many as the model has. */
  readonly length?: number;
  /** How matrices, and keys and values, are stored; f32 when absent. */
  readonly weights?: WeightDtype;
  readonly cache?: CacheDtype;
}

/** The explanation of a layout, with how else its text could be read and the memory of a rank. */
export interface LayoutResult extends LayoutExplanation {
  readonly readings: readonly Reading[];
  /** What a rank would hold; or why no engine can be made on this layout, where nothing was asked about memory. */
  readonly memory: MemoryExplanation | { readonly refused: string };
}

const OPTIONS: Fields = {
  layout: 'string?',
  preset: 'string?',
  model: 'string?',
  gpus: 'number?',
  rank: 'number?',
  sequences: 'number?',
  length: 'number?',
  weights: 'string?',
  cache: 'string?',
  ...asked.PLACEMENT_FIELDS,
};

/**
 * Explains what each rank of a layout holds and with whom it talks. Nothing is computed on a device.
 * @throws ConfigError for a layout that does not fit itself, the model, or the number of GPUs.
 */
export async function layout(options: LayoutOptions = {}): Promise<LayoutResult> {
  requireOptions('layout', options, OPTIONS);
  const config = await configOf(options);
  const spec =
    options.layout === undefined
      ? options.model === undefined
        ? CARD_LAYOUT
        : layoutFor(config)
      : parseLayout(options.layout);
  if (options.gpus !== undefined) checkGpus(spec, options.gpus);
  const { placement } = await asked.placedBy(options, spec, config);
  const plan = planLayout(spec, config, placement);
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
  const memory = memoryOf(plan, options);
  return { ...explained, exampleRank: rank, groups, readings: readingsOf(spec, options.gpus), memory };
}

/** @throws ConfigError for limits or dtypes that do not fit. A layout that nobody asked memory of is explained all the same. */
function memoryOf(
  plan: Layout,
  { sequences, length, weights, cache }: LayoutOptions,
): LayoutResult['memory'] {
  if (sequences !== undefined) requireInteger('sequences', sequences, 1);
  if (length !== undefined) requireInteger('length', length, 1);
  try {
    return explainMemory(plan, {
      ...(sequences !== undefined && { maxSequences: sequences }),
      ...(length !== undefined && { maxLength: length }),
      ...(weights !== undefined && { weightDtype: weights }),
      ...(cache !== undefined && { cacheDtype: cache }),
    });
  } catch (error) {
    const asked = [sequences, length, weights, cache].some((option) => option !== undefined);
    if (asked || !(error instanceof ConfigError)) throw error;
    return { refused: error.message };
  }
}

async function configOf({
  preset,
  model,
}: {
  readonly preset?: string | undefined;
  readonly model?: string | undefined;
}): Promise<MoeConfig> {
  if (model === undefined) return modelShape(preset ?? 'card');
  if (preset === undefined) return readShape(model);
  throw new ConfigError(
    `the model ${quoted(model)} and the preset ${quoted(preset)} both name one. Give one of them.`,
  );
}

/** The shape of a model by preset or by path. */
export async function modelShape(preset: string): Promise<MoeConfig> {
  return /[/\\]|\.json$/.test(preset) ? readShape(preset) : presetNamed(preset).config;
}

const OTHER_SVG = 'Name another place with --svg.';

/** A tuple that runs as no layout, or not on so many GPUs, can still be read. */
async function readable(
  spec: LayoutSpec,
  options: LayoutOptions,
): Promise<LayoutResult | { spec: LayoutSpec; readings: Reading[]; refused: string }> {
  try {
    return await layout(options);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { spec, readings: readingsOf(spec, options.gpus), refused: error.message };
  }
}

interface CommandOptions extends GlobalOptions, asked.PlacementOptions {
  readonly preset?: string;
  readonly model?: string;
  readonly gpus?: number;
  readonly rank?: number;
  readonly readings?: boolean;
  readonly svg?: string;
  readonly sequences?: number;
  readonly length?: number;
  readonly weights?: WeightDtype;
  readonly cache?: CacheDtype;
}

export function describeLayout(command: Command): Command {
  return asked
    .addPlacementOptions(command)
    .description('Explains a layout: its two views, its groups, and what every rank holds. Needs no GPU.')
    .argument(
      '[axes...]',
      'ep=16,pp=4,tp=2,dp=2 or separate words; the reference layout when absent, of --model one that suits it',
    )
    .option('--preset <name>', 'model preset, or the path of a config.json (default: card)')
    .option('--model <path>', "a model's folder or its config.json, and a layout that suits it")
    .option(
      '--gpus <n>',
      'refuse the layout unless it has this many; with --readings: which have',
      integer(1),
    )
    .option('--rank <r>', 'follow this rank along every axis', integer(0))
    .option('--sequences <n>', 'at once, for the memory of a rank; one a TP group when absent', integer(1))
    .option('--length <n>', 'positions of a sequence, for the memory of a rank', integer(1))
    .addOption(new Option('--weights <dtype>', 'how matrices are stored').choices(WEIGHT_DTYPES))
    .addOption(new Option('--cache <dtype>', 'how keys and values are stored').choices(CACHE_DTYPES))
    .option('--readings', 'every way to read the tuple, with its world size')
    .option('--svg <file>', 'a map of the ranks, as a drawing; with --readings one of each reading')
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
      const idle = ['preset', 'model', 'rank', 'sequences', 'length', 'weights', 'cache', 'placement'];
      refuseIdle(command, [[text, idle, '--readings shows no ranks, but with --json']]);
      if (given.svg !== undefined) await checkOutput(given.svg, { remedy: OTHER_SVG });
      const { preset, model } = given;
      const spec =
        axes.length > 0
          ? parseLayout(axes.join(','))
          : model === undefined
            ? CARD_LAYOUT
            : layoutFor(await configOf({ preset, model }));
      if (given.readings === true && given.svg !== undefined)
        await writeWhole(given.svg, drawReadings(spec, given.gpus), OTHER_SVG);
      if (text) return printLines([renderReadings(spec, given.gpus)]);
      const options = chosen({ ...given, ...(axes.length > 0 && { layout: axes.join(',') }) }, OPTIONS);
      const result = await (given.readings ? readable(spec, options) : layout(options));
      if ('refused' in result) return printJson(result);
      if (given.svg !== undefined && given.readings !== true)
        await writeWhole(given.svg, drawRanks(result), OTHER_SVG);
      if (given.json) return printJson(result);
      const share = given.rank === undefined ? [] : ['', rankLine(result)];
      const { memory } = result;
      const told =
        'refused' in memory ? `No engine runs this layout: ${memory.refused}` : renderMemory(memory);
      await printLines([renderExplanation(result), ...share, '', told]);
    });
}

function rankLine({ ranks, exampleRank, bytesPerWeight }: LayoutResult): string {
  const { params, bytes } = at(ranks, exampleRank);
  return (
    `Rank ${exampleRank} holds ${params.total.toLocaleString('en')} weights, ` +
    `${formatBytes(bytes)} at ${bytesPerWeight} bytes each.`
  );
}
