/** Continuing a prompt: greedy by default, or sampled at a temperature with a seed. */
import { CheckError, ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { at } from '../core/math.ts';
import { seededRandom, type Random } from '../core/random.ts';
import type { Engine, StepOptions, StepResult, Steps } from './engine.ts';

/** A prompt as token ids, and how to continue it. */
export interface GenerateOptions {
  readonly promptIds: readonly number[];
  /** How many tokens to add. */
  readonly tokens: number;
  /** 0 (the default) takes the most likely token, ties to the lower id. */
  readonly temperature?: number;
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
  /** The added tokens. */
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
 * @throws ConfigError for an empty prompt, no tokens, or a temperature below 0.
 * @throws CheckError when a logit is not finite.
 * @throws CancelledError when it was called off; `onToken` has been told of the tokens that were there.
 */
export async function generate(engine: Engine, options: GenerateOptions): Promise<Generation> {
  requireFields('The engine', engine, { exclusively: 'function' });
  requireFields('The continuation', options, { promptIds: 'list', tokens: 'number', signal: 'signal?' });
  const { promptIds, tokens, temperature = 0 } = options;
  if (promptIds.length === 0)
    throw new ConfigError('The prompt is empty; give at least one token to continue.');
  if (!Number.isInteger(tokens) || tokens < 1)
    throw new ConfigError(`tokens is ${tokens}; ask for at least 1.`);
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new ConfigError(`temperature is ${temperature}; it must be 0 (greedy) or more.`);
  }
  const prompt = [...promptIds];
  return engine.exclusively((steps) => continued(steps, prompt, options), options.signal);
}

async function continued(
  steps: Steps,
  prompt: readonly number[],
  { tokens, temperature = 0, seed = 0, onToken, signal, step: wanted = {}, onStep }: GenerateOptions,
): Promise<Generation> {
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
    const id = temperature === 0 ? argmax(logits) : sample(logits, temperature, random);
    ids.push(id);
    onToken?.(id, ids.length - 1);
    if (ids.length === tokens) break;
    const step = await steps.forward([{ sequence: 0, ids: [id] }], asked);
    onStep?.(step, ids.length);
    logits = at(step.logits, 0);
    decodeNs += step.hostNs;
    hostSyncsInLayers += step.hostSyncsInLayers;
  }
  return { ids, lastLogits, prefillNs: first.hostNs, decodeNs, hostSyncsInLayers };
}

/** Index of the largest value, ties to the lower. @throws CheckError when a value is not finite. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 0; i < values.length; i++) {
    const value = at(values, i);
    if (!Number.isFinite(value)) throw new CheckError(`Logit ${i} is ${value}; the forward pass went wrong.`);
    if (value > at(values, best)) best = i;
  }
  return best;
}

/** One draw from softmax(logits / temperature), in f64. */
export function sample(logits: ArrayLike<number>, temperature: number, random: Random): number {
  const highest = at(logits, argmax(logits));
  const weights = Array.from(logits, (v) => Math.exp((v - highest) / temperature));
  let rest = random.uniform() * weights.reduce((a, b) => a + b, 0);
  for (let i = 0; i < weights.length; i++) {
    rest -= at(weights, i);
    if (rest < 0) return i;
  }
  return weights.length - 1;
}
