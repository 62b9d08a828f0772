/** Continuing a prompt: greedy by default, or sampled at a temperature with a seed. */
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { at } from '../core/math.ts';
import { seededRandom } from '../core/random.ts';
import type { Engine, StepOptions, StepResult, Steps } from './engine.ts';
import { nextToken, requireSampling, type SamplingOptions } from './sampling.ts';

/** A prompt as token ids, and how to continue it. */
export interface GenerateOptions extends SamplingOptions {
  readonly promptIds: readonly number[];
  /** How many tokens to add, at most. */
  readonly tokens: number;
  /** Tokens that end the text, itself among the added ones; none by default. */
  readonly endIds?: readonly number[];
  readonly seed?: number;
  readonly onToken?: (id: number, index: number) => void;
  /** What every step is asked for besides its logits. */
  readonly step?: StepOptions;
  /** Called with every step, that of the prompt first, before its token. */
  readonly onStep?: (step: StepResult, index: number) => void;
  /** Calls it off between tokens and within one. */
  readonly signal?: AbortSignal;
}

/** A continuation, with the host's times of its steps. */
export interface Generation {
  /** The added tokens; the last may be one that ends the text. */
  readonly ids: number[];
  /** Logits after the prompt, [V]. */
  readonly lastLogits: Float32Array;
  /** Host time of the prompt's step, ns: the measured part of TTFT. */
  readonly prefillNs: number;
  /** Host time of all later steps, ns. */
  readonly decodeNs: number;
  /** Host waits between the first and the last dispatch of every step, added up: 0 on one device. */
  readonly hostSyncsInLayers: number;
}

/**
 * Runs sequence 0 of the engine from its start. Others who ask the engine for steps meanwhile wait for the end.
 * @throws ConfigError for an empty prompt, no tokens, or numbers that make no choice.
 * @throws CheckError when a logit is not finite.
 * @throws CancelledError when it was called off; `onToken` has been told of the tokens that were there.
 */
export async function generate(engine: Engine, options: GenerateOptions): Promise<Generation> {
  requireFields('The engine', engine, { exclusively: 'function' });
  requireFields('The continuation', options, { promptIds: 'list', tokens: 'number', signal: 'signal?' });
  const { promptIds, tokens } = options;
  if (promptIds.length === 0)
    throw new ConfigError('The prompt is empty; give at least one token to continue.');
  if (!Number.isInteger(tokens) || tokens < 1)
    throw new ConfigError(`tokens is ${tokens}; ask for at least 1.`);
  requireSampling(options);
  const prompt = [...promptIds];
  return engine.exclusively((steps) => continued(steps, prompt, options), options.signal);
}

async function continued(
  steps: Steps,
  prompt: readonly number[],
  options: GenerateOptions,
): Promise<Generation> {
  const { tokens, endIds = [], seed = 0, onToken, signal, step: wanted = {}, onStep } = options;
  const random = seededRandom(seed);
  const asked: StepOptions = { ...wanted, ...(signal && { signal }) };
  steps.reset();
  const first = await steps.forward([{ sequence: 0, ids: prompt }], asked);
  onStep?.(first, 0);
  const lastLogits = at(first.logits, 0);
  const ids: number[] = [];
  let logits = lastLogits;
  let decodeNs = 0;
  let hostSyncsInLayers = first.hostSyncsInLayers;
  for (;;) {
    const id = nextToken(logits, [...prompt, ...ids], options, random);
    ids.push(id);
    onToken?.(id, ids.length - 1);
    if (ids.length === tokens || endIds.includes(id)) break;
    const step = await steps.forward([{ sequence: 0, ids: [id] }], asked);
    onStep?.(step, ids.length);
    logits = at(step.logits, 0);
    decodeNs += step.hostNs;
    hostSyncsInLayers += step.hostSyncsInLayers;
  }
  return { ids, lastLogits, prefillNs: first.hostNs, decodeNs, hostSyncsInLayers };
}
