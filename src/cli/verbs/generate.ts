/** `moebius generate`: text from a model that runs on all the ranks of a layout. */
import { Option, type Command } from 'commander';
import { ConfigError } from '../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { printableLines } from '../../core/printable.ts';
import { formatNs } from '../../core/units.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import { createEngine } from '../../runtime/engine.ts';
import { CACHE_DTYPES, type CacheDtype } from '../../memory/rank-sizes.ts';
import { generate as continuePrompt } from '../../runtime/generate.ts';
import { loadModel, TINY_MOE, tokenizerOf } from '../model.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../../tensor/quantised.ts';
import { METRICS, withWatchedGpu } from '../metrics/server.ts';
import { atLeast, integer, MOST_SEED, refuseIdle, requireInteger, type GlobalOptions } from '../options.ts';
import { complain, printJson, stdoutStyle, write } from '../output.ts';
import { attachTuning, type TuningUse, NO_TUNING, TUNING_FILE } from '../tuning.ts';

/** Options of `generate`, those of `moebius generate`. */
export interface GenerateOptions {
  readonly adapter?: string;
  readonly prompt: string;
  /** How many tokens to add. */
  readonly tokens: number;
  /** 0, the default, takes the most likely token every time. */
  readonly temperature?: number;
  readonly seed?: number;
  /** The reference deployment's 128 ranks when absent. */
  readonly layout?: string;
  /** A checkpoint's folder; the bundled tiny-moe when absent. */
  readonly model?: string;
  /** How matrices are stored on the device; f32 when absent. */
  readonly weights?: WeightDtype;
  /** How keys and values are stored on the device; f32 when absent. */
  readonly cache?: CacheDtype;
  /** False ignores what was tuned. */
  readonly tuning?: boolean;
  /** What was tuned; see `TuningOptions`. */
  readonly tuningFile?: string;
  /** A port of this machine for OpenMetrics while it runs, 0 for a free one. Steps are timed and traced then. */
  readonly metrics?: number;
  /** Called with the text of every token as it comes. */
  readonly onText?: (text: string) => void;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** The continuation, with what it was computed with and how long it took on the host's clock, ns. */
export interface GenerateResult {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  /** The added text, without the prompt. */
  readonly text: string;
  /** Logits after the prompt, [V]. */
  readonly lastLogits: readonly number[];
  readonly layout: string;
  readonly worldSize: number;
  readonly model: string;
  readonly adapter: AdapterFacts;
  readonly tuning: TuningUse;
  readonly temperature: number;
  readonly seed: number;
  readonly weights: WeightDtype;
  readonly cache: CacheDtype;
  /** Host waits between the first and the last dispatch of a step, all steps. */
  readonly hostSyncsInLayers: number;
  readonly timing: { readonly clock: 'host'; readonly prefillNs: number; readonly decodeNs: number };
}

const OPTIONS: Fields = {
  adapter: 'string?',
  prompt: 'string',
  tokens: 'number',
  temperature: 'number?',
  seed: 'number?',
  layout: 'string?',
  model: 'string?',
  weights: 'string?',
  cache: 'string?',
  tuning: 'flag?',
  tuningFile: 'string?',
  metrics: 'number?',
  onText: 'function?',
  signal: 'signal?',
};

/**
 * Continues a prompt with a checkpoint's own tokenizer, on all ranks of a layout.
 * @throws ConfigError for a prompt, a number or a layout that the model cannot run.
 */
export async function generate(options: GenerateOptions): Promise<GenerateResult> {
  requireOptions('generate', options, OPTIONS);
  const { tokens, temperature = 0, seed = 0, weights = 'f32', cache = 'f32' } = options;
  const spec = parseLayout(options.layout ?? formatLayout(CARD_LAYOUT));
  const model = await loadModel(options.model ?? TINY_MOE);
  const layout = planLayout(spec, model.config);
  const tokenizer = tokenizerOf(model);
  checkNumbers(options, model.config.maxPositions);
  const promptIds = tokenizer.encode(options.prompt);
  return withWatchedGpu('generate', options, async (gpu) => {
    const tuning = await attachTuning(gpu, options);
    const maxLength = promptIds.length + tokens;
    const limits = { maxSequences: 1, maxLength, maxStepTokens: promptIds.length };
    const engine = await createEngine(gpu, {
      layout,
      weights: model,
      ...limits,
      weightDtype: weights,
      cacheDtype: cache,
    });
    try {
      const result = await continuePrompt(engine, {
        promptIds,
        tokens,
        temperature,
        seed,
        ...(options.metrics !== undefined && { step: { timing: 'span', experts: true } }),
        onToken: (id) => options.onText?.(tokenizer.decode([id])),
      });
      return {
        promptIds,
        ids: result.ids,
        text: tokenizer.decode(result.ids),
        lastLogits: [...result.lastLogits],
        layout: formatLayout(spec),
        worldSize: layout.worldSize,
        model: model.config.name,
        adapter: gpu.facts,
        tuning,
        temperature,
        seed,
        weights,
        cache,
        hostSyncsInLayers: result.hostSyncsInLayers,
        timing: { clock: 'host', prefillNs: result.prefillNs, decodeNs: result.decodeNs },
      };
    } finally {
      engine.destroy();
    }
  });
}

function checkNumbers(options: GenerateOptions, maxPositions: number): void {
  const { prompt, tokens, temperature = 0, seed = 0, weights = 'f32', cache = 'f32' } = options;
  requireInteger('tokens', tokens, 1);
  requireInteger('seed', seed, 0, MOST_SEED);
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new ConfigError(`temperature (${temperature}) must be 0 (greedy) or a positive number.`);
  }
  if (!CACHE_DTYPES.includes(cache)) {
    throw new ConfigError(`cache (${String(cache)}) must be one of ${CACHE_DTYPES.join(', ')}.`);
  }
  if (!WEIGHT_DTYPES.includes(weights)) {
    throw new ConfigError(`weights (${String(weights)}) must be one of ${WEIGHT_DTYPES.join(', ')}.`);
  }
  if (prompt === '') throw new ConfigError('the prompt is empty; give at least one character to continue.');
  const characters = charactersOf(prompt);
  const length = characters + tokens;
  if (length > maxPositions) {
    throw new ConfigError(
      `${characters} prompt characters and ${tokens} tokens make ${length} positions; the model was trained ` +
        `for ${maxPositions}. Shorten one of them by ${length - maxPositions}.`,
    );
  }
}

/** Code points, counted without a list of them. */
function charactersOf(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; count++) i += (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

interface CommandOptions extends GlobalOptions {
  readonly prompt?: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly layout: string;
  readonly model: string;
  readonly weights: WeightDtype;
  readonly cache: CacheDtype;
  readonly metrics?: number;
  readonly tuning: boolean;
}

export function describeGenerate(command: Command): Command {
  return command
    .description(
      'Continues a prompt with a model that runs on every rank of a layout, simulated on one adapter.',
    )
    .option('--prompt <text>', 'the text to continue')
    .option('--tokens <n>', 'how many tokens to add', integer(1), 100)
    .option('--layout <axes>', 'ep, pp, tp and dp', formatLayout(CARD_LAYOUT))
    .option('--temperature <t>', '0 takes the most likely token, more samples', atLeast(0), 0)
    .option('--seed <n>', 'of the sampling', integer(0, MOST_SEED), 0)
    .option('--model <folder>', 'a Mixtral-style checkpoint', TINY_MOE)
    .addOption(
      new Option('--weights <dtype>', 'how matrices are stored').choices(WEIGHT_DTYPES).default('f32'),
    )
    .addOption(
      new Option('--cache <dtype>', 'how keys and values are stored').choices(CACHE_DTYPES).default('f32'),
    )
    .option(...METRICS)
    .option(...TUNING_FILE)
    .option(...NO_TUNING)
    .addHelpText(
      'after',
      `
Examples:
  moebius generate --prompt "ROMEO:" --tokens 100
  moebius generate --prompt "JULIET:" --temperature 0.8 --seed 1
  moebius generate --prompt "O " --tokens 20 --layout ep=1 --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const { prompt } = given;
      // Not by commander, which would complain of it before it tells of a misspelt option.
      if (prompt === undefined)
        throw new ConfigError('generate needs --prompt <text>, the text to continue.');
      refuseIdle(command, [
        [given.temperature === 0, ['seed'], 'with --temperature 0 the most likely token is taken every time'],
      ]);
      if (given.json) return printJson(await generate(chosen({ ...given, prompt }, OPTIONS)));
      await streamText({ ...given, prompt });
    });
}

/** The prompt and its continuation as it comes, then what it took. */
async function streamText(given: CommandOptions & { readonly prompt: string }): Promise<void> {
  const style = stdoutStyle();
  let started = false;
  const onText = (text: string): void => {
    if (!started) process.stdout.write(style.bold(shownText(given.prompt)));
    started = true;
    process.stdout.write(shownText(text));
  };
  const result = await generate(chosen({ ...given, onText }, OPTIONS));
  const { prefillNs, decodeNs } = result.timing;
  const steps = result.ids.length - 1;
  const perToken = steps === 0 ? '' : `, ${formatNs(decodeNs / steps)} per further token`;
  const notes = [
    `${result.model}, ${result.layout}: ${result.worldSize} ranks on ${result.adapter.name}`,
    result.tuning.note,
    `first token after ${formatNs(prefillNs)}${perToken} (measured, host clock)`,
  ];
  await write(process.stdout, '\n');
  for (const line of notes) await complain(style.dim(`[${line}]`));
}

/** A vocabulary may hold any character: those that steer a terminal are shown. `--json` has the text itself. */
function shownText(text: string): string {
  return text.split('\t').map(printableLines).join('\t');
}
