/** `moebius check`: a checkpoint on one rank and on a layout beside float64, and beside what somebody else has computed. */
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { type Progress, SILENT } from '../../bench/progress.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { range } from '../../core/math.ts';
import { layoutFor } from '../../layout/default-layout.ts';
import { planLayout } from '../../layout/layout.ts';
import { formatLayout, parseLayout } from '../../layout/spec.ts';
import type { CacheDtype } from '../../memory/rank-sizes.ts';
import type { OpenCheckpoint } from '../../model/checkpoint.ts';
import { parseLayerRun } from '../../model/files/layers.ts';
import { dtypesOf, storedDtypes } from '../../model/stored-weights.ts';
import { type CheckpointFindings, renderCheckpoint } from '../../report/terminal/checkpoint/tables.ts';
import type { WeightDtype } from '../../tensor/quantised.ts';
import { checkCheckpoint } from '../../validate/checkpoint/check-checkpoint.ts';
import { type HiddenFile, readHiddenFile } from '../../validate/checkpoint/hidden-file.ts';
import { failuresOf } from '../../validate/checkpoint/judge.ts';
import { readText } from '../files/prompt.ts';
import {
  cacheOption,
  freeBytes,
  loadModel,
  Reading,
  requireCache,
  requireWeights,
  TINY_MOE,
  weightsOption,
  WRITES_TOKENIZER,
} from '../model.ts';
import { integer, moreThan, requireInteger, type GlobalOptions } from '../options.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { cliProgress } from '../progress.ts';
import { platformHere, withGpu } from '../session.ts';

/** Options of `check`, those of `moebius check`. */
export interface CheckOptions {
  readonly adapter?: string;
  /** A checkpoint's folder; the bundled tiny-moe when absent. */
  readonly model?: string;
  /** One that suits the model when absent. */
  readonly layout?: string;
  /** What the model is given; a sentence of ours when absent, or the ids of the reference. */
  readonly text?: string;
  /** Only so many of its tokens. */
  readonly tokens?: number;
  /** A safetensors file with hidden states of layers that somebody else has computed. */
  readonly reference?: string;
  /** Only these layers of the model, such as 0-3. */
  readonly layers?: string;
  /** How matrices are stored on the device; `stored`, the default, keeps what the files have where kernels read it. */
  readonly weights?: WeightDtype | 'stored';
  /** How keys and values are stored on the device; f32 when absent. */
  readonly cache?: CacheDtype;
  /** Worst error of the device beside float64 that passes, in parts of the largest value of a row; 2e-3 when absent. */
  readonly tolerance?: number;
  /** The same beside the reference; as `tolerance` when absent, or 0.05 of a file with numbers of 16 bits. */
  readonly referenceTolerance?: number;
  readonly progress?: Progress;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** What was found, layer by layer, and whether it passes. */
export interface CheckReport extends CheckpointFindings {
  readonly pass: boolean;
}

const OPTIONS: Fields = {
  adapter: 'string?',
  model: 'string?',
  layout: 'string?',
  text: 'string?',
  tokens: 'number?',
  reference: 'string?',
  layers: 'string?',
  weights: 'string?',
  cache: 'string?',
  tolerance: 'number?',
  referenceTolerance: 'number?',
  progress: 'record?',
  signal: 'signal?',
};

const TOLERANCE = 2e-3;
/** Of numbers that were rounded to 8 bits after every operation of some layers. A guess. */
const HALVES_TOLERANCE = 0.05;
const TEXT = 'A router sends every token to the few experts that suit it, and their answers are added up.';

/**
 * Checks a checkpoint: each layer, the choices of its router, logits and perplexity, on one rank and on a layout, beside
 * float64 with the same weights; and beside hidden states of another program.
 * @throws ConfigError for a model, text or reference that cannot be used. A check that fails is told in the report.
 */
export async function check(options: CheckOptions = {}): Promise<CheckReport> {
  requireOptions('check', options, OPTIONS);
  checkValues(options);
  const { weights = 'stored', cache = 'f32', tolerance = TOLERANCE, progress = SILENT } = options;
  const reading = new Reading();
  const layers = options.layers === undefined ? undefined : parseLayerRun(options.layers);
  const given = options.layout === undefined ? undefined : parseLayout(options.layout);
  const model = await loadModel(options.model ?? TINY_MOE, { layers, onRead: reading.add });
  try {
    const { config } = model;
    const spec = given ?? layoutFor(config);
    const layout = planLayout(spec, config);
    const file = await readReference(options, model);
    const ids = idsOf(model, options, file);
    const dtypes = weights === 'stored' ? storedDtypes(model) : dtypesOf(weights);
    return await withGpu(options, async (gpu) => {
      const found = await progress.step(
        `${config.name} on one rank and on ${formatLayout(spec)}`,
        (say) =>
          checkCheckpoint(gpu, {
            ...{ weights: model, dtypes, cacheDtype: cache, spec, ids, tolerance, file },
            ...(layers && { firstLayer: layers.first }),
            freeBytes: freeBytes(gpu),
            say: reading.beside(say),
          }),
        reading.text,
      );
      const referenceTolerance = options.referenceTolerance ?? (file?.halves ? HALVES_TOLERANCE : tolerance);
      const failures = failuresOf(found, { tolerance, reference: referenceTolerance });
      return {
        ...{ model: config.name, family: model.model.family.title, adapter: gpu.facts },
        ...{ layout: formatLayout(spec), worldSize: layout.worldSize },
        ...{ weights, tolerance, referenceTolerance, ...found, failures, pass: failures.length === 0 },
      };
    });
  } finally {
    await model.close();
  }
}

function checkValues(options: CheckOptions): void {
  const { weights = 'stored', cache = 'f32', tokens, tolerance, referenceTolerance, text } = options;
  requireWeights(weights);
  requireCache(cache);
  if (tokens !== undefined) requireInteger('tokens', tokens, 1);
  for (const [name, value] of Object.entries({ tolerance, referenceTolerance })) {
    if (value === undefined || (value > 0 && value < 1)) continue;
    throw new ConfigError(`${name} (${value}) must be more than 0 and less than 1.`);
  }
  if (text === '') throw new ConfigError('the text is empty; give at least one character.');
}

async function readReference(
  { reference }: CheckOptions,
  { config, model }: OpenCheckpoint,
): Promise<HiddenFile | undefined> {
  if (reference === undefined) return undefined;
  if (config.numLayers < model.config.numLayers) {
    throw new ConfigError(
      'a reference is of the whole model, but --layers takes a part of it. Leave one of them out.',
    );
  }
  return readHiddenFile(await platformHere().readFile(resolve(reference)), reference, config);
}

/** The tokens to run. @throws ConfigError for none, for too many, and for others than those of the reference. */
function idsOf(model: OpenCheckpoint, options: CheckOptions, file: HiddenFile | undefined): number[] {
  const { vocabSize, maxPositions } = model.config;
  const { text, tokens } = options;
  const encoded = text === undefined ? undefined : encodedBy(model, text);
  const all = encoded ?? file?.ids ?? (model.tokenizer ? encodedBy(model, TEXT) : madeUp(vocabSize));
  const ids = file === undefined ? all.slice(0, tokens) : [...all];
  if (file !== undefined) {
    const differ = file.ids !== undefined && file.ids.join() !== ids.join();
    if (differ || ids.length !== file.tokens || tokens !== undefined) {
      throw new ConfigError(
        `${file.label} is of ${file.tokens} tokens${differ ? ', other ones than the text has' : ''}; here are ${ids.length}. ` +
          'Write input_ids into it and give no text, or give its own.',
      );
    }
  }
  const beyond = ids.find((id) => id >= vocabSize);
  if (beyond !== undefined) {
    throw new ConfigError(
      `token ${beyond} is beyond the vocabulary of ${vocabSize}. Use tokens of this model.`,
    );
  }
  if (ids.length > maxPositions) {
    throw new ConfigError(
      `the text has ${ids.length} tokens; the model was trained for ${maxPositions}. Give a shorter one, or --tokens ${maxPositions}.`,
    );
  }
  if (ids.length === 0) throw new ConfigError('the text has no tokens; give more of it.');
  return ids;
}

function encodedBy({ tokenizer, origin }: OpenCheckpoint, text: string): number[] {
  if (tokenizer !== undefined) return tokenizer.encode(text);
  throw new ConfigError(
    `${basename(origin)} has neither tokenizer.json nor vocab.json, so text cannot become tokens. Leave the text out, or put its tokenizer beside the weights; ${WRITES_TOKENIZER}.`,
  );
}

/** Of a model without a tokenizer. */
function madeUp(vocabSize: number): number[] {
  return range(16).map((i) => (7 * i + 1) % vocabSize);
}

interface CommandOptions extends GlobalOptions {
  readonly text?: string;
  readonly textFile?: string;
}

export function describeCheck(command: Command): Command {
  return command
    .description(
      'Checks a checkpoint on one rank and on a layout beside float64, one layer at a time, so that one larger than memory ' +
        'is checked too: error and router choices of each layer, logits, perplexity of a text.',
    )
    .argument('[folder]', 'a checkpoint as Hugging Face has it', TINY_MOE)
    .option('--layout <axes>', 'ep, pp, tp and dp (default: one that suits the model)')
    .option('--text <text>', 'what the model is given')
    .option('--text-file <file>', 'a file that has it; - is stdin')
    .option('--tokens <n>', 'only so many tokens of the text', integer(1))
    .option('--reference <file>', 'hidden states of layers that another program has computed, safetensors')
    .option('--layers <first-last>', 'only these layers of the model')
    .addOption(weightsOption())
    .addOption(cacheOption())
    .option(
      '--tolerance <e>',
      'worst error that passes, in parts of the largest value',
      moreThan(0),
      TOLERANCE,
    )
    .option(
      '--reference-tolerance <e>',
      `the same beside the reference (default: as --tolerance; ${HALVES_TOLERANCE} of a file in 16 bits)`,
      moreThan(0),
    )
    .addHelpText(
      'after',
      `
A reference has layers.0, layers.1, ... [tokens, width], what each layer gives,
and input_ids [tokens]; logits [tokens, vocabulary] too, if you like.

Examples:
  moebius check ~/models/OLMoE-1B-7B --layout ep=4,tp=2
  moebius check ~/models/gpt-oss-20b --text-file essay.txt --tokens 256
  moebius check ~/models/Qwen3-30B-A3B --reference hidden.safetensors --json`,
    )
    .action(async (folder: string, _options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const text = await readText(given);
      const progress = cliProgress(given.json === true);
      const asked = { ...given, ...(text !== undefined && { text }), model: folder, progress };
      const report = await check(chosen(asked, OPTIONS));
      await (given.json ? printJson(report) : printLines(renderCheckpoint(report, stdoutStyle())));
      requirePass(report);
    });
}

function requirePass({ failures }: CheckReport): void {
  if (failures.length === 0) return;
  const number = failures.length === 1 ? '1 check failed' : `${failures.length} checks failed; the first`;
  throw new CheckError(`${number}: ${failures[0]}.`);
}
