/** `moebius generate`: text from a model that runs on all the ranks of a layout. */
import type { Command } from 'commander';
import { type Progress, SILENT } from '../../bench/progress.ts';
import { chosen, requireOptions, type Fields } from '../../core/given.ts';
import { formatBytes, formatNs } from '../../core/units.ts';
import { planLayout } from '../../layout/layout.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import { parseLayerRun } from '../../model/files/layers.ts';
import { storedDtypes } from '../../model/stored-weights.ts';
import { checkLength, idsOf } from '../../model/text/prompt.ts';
import { type EngineSizing } from '../../memory/engine-plan.ts';
import { requireRoom } from '../../memory/room.ts';
import { createEngine, type RoutingAccount } from '../../runtime/engine.ts';
import { traitsOf } from '../../runtime/layer/kernels.ts';
import type { CacheDtype } from '../../memory/rank-sizes.ts';
import type { ExpertLoad } from '../../runtime/expert-load.ts';
import { generate as continuePrompt } from '../../runtime/generate.ts';
import * as asked from './routing/engine-options.ts';
import { RECORD_ROUTING, startRecording } from './routing/record.ts';
import { liveText } from '../metrics/live-text.ts';
import {
  cacheOption,
  freeBytes,
  isBundled,
  layoutOf,
  loadModel,
  Reading,
  TINY_MOE,
  tokenizerOf,
  weightsOption,
} from '../model.ts';
import type { WeightDtype } from '../../tensor/quantised.ts';
import { METRICS, withWatchedGpu } from '../metrics/server.ts';
import { atLeast, integer, MOST_SEED, refuseIdle, type GlobalOptions } from '../options.ts';
import { readPrompt } from '../files/prompt.ts';
import { complain, printJson, stdoutStyle, write } from '../output.ts';
import { cliProgress } from '../progress.ts';
import { checkNumbers } from '../continuation.ts';
import { attachTuning, type TuningUse, NO_TUNING, TUNING_FILE } from '../tuning.ts';

/** Options of `generate`, those of `moebius generate`. */
export interface GenerateOptions extends asked.EngineRoutingOptions {
  readonly adapter?: string;
  readonly prompt: string;
  /** How many tokens to add, at most: a token that ends the text ends it. */
  readonly tokens: number;
  /** 0, the default, takes the most likely token every time. */
  readonly temperature?: number;
  /** Only so many most likely tokens are drawn from. */
  readonly topK?: number;
  /** Only the most likely tokens of this probability together are drawn from. */
  readonly topP?: number;
  /** What makes tokens less likely that the text has already; 1, the default, leaves them. */
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  /** The prompt is a message of a user, put into the model's chat template. */
  readonly chat?: boolean;
  /** One that suits the model when absent: of the bundled one the reference deployment's 128 ranks. */
  readonly layout?: string;
  /** A checkpoint's folder; the bundled tiny-moe when absent. */
  readonly model?: string;
  /** Only these layers of the model, such as 0-3. */
  readonly layers?: string;
  /**
   * How matrices are stored on the device; `stored` keeps what the files have where kernels read it, and is the default of
   * a model that is named. The bundled one is f32.
   */
  readonly weights?: WeightDtype | 'stored';
  /** How keys and values are stored on the device; f32 when absent. */
  readonly cache?: CacheDtype;
  /** False ignores what was tuned. */
  readonly tuning?: boolean;
  /** What was tuned; see `TuningOptions`. */
  readonly tuningFile?: string;
  /** A port of this machine for OpenMetrics while it runs, 0 for a free one. Steps are timed and traced then. */
  readonly metrics?: number;
  /** Where the chosen experts go, as a trace that `routing` reads; replaced when it is there. */
  readonly recordRouting?: string;
  /** Called after every step with the load of the experts so far; the step then reads the choices back. */
  readonly onLoad?: (load: ExpertLoad) => void;
  readonly progress?: Progress;
  /** Called with the text of every token as it comes. */
  readonly onText?: (text: string) => void;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** The continuation, with what it was computed with and how long it took on the host's clock, ns. */
export interface GenerateResult {
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  /** Whether a token ended the text, or so many were asked for. */
  readonly stop: 'end' | 'tokens';
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
  readonly weights: WeightDtype | 'stored';
  readonly cache: CacheDtype;
  /** Host waits between the first and the last dispatch of a step, all steps. */
  readonly hostSyncsInLayers: number;
  /** What became of the rows; of an engine with a placement, a capacity or a bias. */
  readonly routing?: RoutingAccount;
  readonly timing: { readonly clock: 'host'; readonly prefillNs: number; readonly decodeNs: number };
}

const OPTIONS: Fields = {
  adapter: 'string?',
  prompt: 'string',
  tokens: 'number',
  temperature: 'number?',
  topK: 'number?',
  topP: 'number?',
  repetitionPenalty: 'number?',
  seed: 'number?',
  chat: 'flag?',
  layers: 'string?',
  layout: 'string?',
  model: 'string?',
  weights: 'string?',
  cache: 'string?',
  tuning: 'flag?',
  tuningFile: 'string?',
  metrics: 'number?',
  recordRouting: 'string?',
  ...asked.ENGINE_ROUTING_FIELDS,
  onLoad: 'function?',
  progress: 'record?',
  onText: 'function?',
  signal: 'signal?',
};

/**
 * Continues a prompt with a checkpoint's own tokenizer, on all ranks of a layout.
 * @throws ConfigError for a prompt, a number or a layout that the model cannot run.
 */
export async function generate(options: GenerateOptions): Promise<GenerateResult> {
  requireOptions('generate', options, OPTIONS);
  const { tokens, temperature = 0, seed = 0, cache = 'f32' } = options;
  const weights = options.weights ?? (isBundled(options.model) ? 'f32' : 'stored');
  const given = options.layout === undefined ? undefined : parseLayout(options.layout);
  const { progress = SILENT } = options;
  const reading = new Reading();
  const model = await loadModel(options.model ?? TINY_MOE, {
    layers: options.layers === undefined ? undefined : parseLayerRun(options.layers),
    onRead: reading.add,
  });
  try {
    const spec = given ?? layoutOf(options.model, model.config);
    const routed = await asked.engineRouting(options, spec, model.config);
    const layout = planLayout(spec, model.config, routed.placement);
    const tokenizer = tokenizerOf(model);
    checkNumbers(options, model.config.maxPositions);
    const promptIds = idsOf(tokenizer, options);
    checkLength(promptIds.length, 'tokens', tokens, model.config.maxPositions);
    const { endIds } = model;
    const recording = await startRecording(options, model.config, `generate on ${formatLayout(spec)}`);
    return await withWatchedGpu('generate', options, async (gpu) => {
      const tuning = await attachTuning(gpu, options);
      const sizing: EngineSizing = {
        ...{ cacheDtype: cache, maxSequences: 1, maxStepTokens: promptIds.length },
        maxLength: promptIds.length + tokens,
        ...routed,
        ...(weights === 'stored' ? { dtypes: storedDtypes(model) } : { weightDtype: weights }),
      };
      const needed = requireRoom(layout, sizing, traitsOf(gpu), freeBytes(gpu));
      const engine = await progress.step(
        `Load ${model.config.name}: ${formatBytes(needed)} on the device`,
        (say) => createEngine(gpu, { ...{ layout, weights: model, ...sizing }, say: reading.beside(say) }),
        reading.text,
      );
      try {
        const text = tokenizer.stream();
        const result = await continuePrompt(engine, {
          ...chosen(options, SAMPLING),
          ...{ promptIds, tokens, endIds },
          ...{ step: recording.step, onStep: recording.add },
          onToken: (id) => {
            const piece = endIds.includes(id) ? '' : text.push(id);
            if (piece !== '') options.onText?.(piece);
          },
        });
        await recording.write();
        const account = await engine.routing();
        const rest = text.end();
        if (rest !== '') options.onText?.(rest);
        const ended = endIds.includes(result.ids.at(-1) ?? -1);
        return {
          promptIds,
          ids: result.ids,
          stop: ended ? 'end' : 'tokens',
          text: tokenizer.decode(ended ? result.ids.slice(0, -1) : result.ids),
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
          ...(account && { routing: account }),
          timing: { clock: 'host', prefillNs: result.prefillNs, decodeNs: result.decodeNs },
        };
      } finally {
        engine.destroy();
      }
    });
  } finally {
    await model.close();
  }
}

const SAMPLING: Fields = {
  temperature: 'number?',
  topK: 'number?',
  topP: 'number?',
  repetitionPenalty: 'number?',
  seed: 'number?',
};

interface CommandOptions extends GlobalOptions, asked.EngineRoutingOptions {
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly seed: number;
  readonly chat?: boolean;
  readonly layout?: string;
  readonly model: string;
  readonly layers?: string;
  readonly weights?: WeightDtype | 'stored';
  readonly cache: CacheDtype;
  readonly metrics?: number;
  readonly recordRouting?: string;
  readonly tuning: boolean;
}

export function describeGenerate(command: Command): Command {
  return asked
    .addEngineRouting(command)
    .description(
      'Continues a prompt with a model that runs on every rank of a layout, simulated on one adapter.',
    )
    .option('--prompt <text>', 'the text to continue; without it what comes through stdin')
    .option('--prompt-file <file>', 'a file that has it; - is stdin')
    .option('--chat', "the prompt is a user's message, put into the model's chat template")
    .option('--tokens <n>', 'how many tokens to add at most', integer(1), 100)
    .option(
      '--layout <axes>',
      `ep, pp, tp and dp (default: one that suits the model, of tiny-moe ${formatLayout(CARD_LAYOUT)})`,
    )
    .option('--temperature <t>', '0 takes the most likely token, more samples', atLeast(0), 0)
    .option('--top-k <n>', 'sample from so many most likely tokens', integer(1))
    .option('--top-p <p>', 'sample from the most likely tokens of this probability', atLeast(0))
    .option('--repetition-penalty <x>', 'above 1: tokens that are there become less likely', atLeast(0))
    .option('--seed <n>', 'of the sampling', integer(0, MOST_SEED), 0)
    .option('--model <folder>', 'a checkpoint as Hugging Face has it', TINY_MOE)
    .option('--layers <first-last>', 'only these layers of the model')
    .addOption(weightsOption())
    .addOption(cacheOption())
    .option(...METRICS)
    .option(...RECORD_ROUTING)
    .option(...TUNING_FILE)
    .option(...NO_TUNING)
    .addHelpText(
      'after',
      `
Examples:
  moebius generate --model ~/models/Qwen3-30B-A3B --prompt "Hi" --chat
  moebius generate --prompt "JULIET:" --temperature 0.8 --top-p 0.9 --seed 1
  echo -n "O " | moebius generate --tokens 20 --layout ep=1 --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      // Not by commander, which would complain of it before it tells of a misspelt option.
      refuseIdle(command, [
        [
          given.temperature === 0,
          ['seed', 'topK', 'topP'],
          'with --temperature 0 the most likely token is taken every time',
        ],
      ]);
      const prompt = await readPrompt(given);
      if (given.json) return printJson(await generate(chosen({ ...given, prompt }, OPTIONS)));
      await streamText({ ...given, prompt });
    });
}

/** The prompt and its continuation as it comes, then what it took. */
async function streamText(given: CommandOptions & { readonly prompt: string }): Promise<void> {
  const style = stdoutStyle();
  const { told, end, load } = liveText(given.prompt, style);
  // The bundled model is there at once.
  const progress = isBundled(given.model) ? SILENT : cliProgress(false);
  const result = await generate(chosen({ ...given, ...told, progress }, OPTIONS)).finally(end);
  const { prefillNs, decodeNs } = result.timing;
  const steps = result.ids.length - 1;
  const perToken = steps === 0 ? '' : `, ${formatNs(decodeNs / steps)} per further token`;
  const notes = [
    `${result.model}, ${result.layout}: ${result.worldSize} ranks on ${result.adapter.name}`,
    result.tuning.note,
    `first token after ${formatNs(prefillNs)}${perToken} (measured, host clock)`,
  ];
  const balance = load();
  if (balance !== undefined) notes.push(balance);
  if (result.routing !== undefined) notes.push(asked.accountLine(result.routing));
  await write(process.stdout, '\n');
  for (const line of notes) await complain(style.dim(`[${line}]`));
}
