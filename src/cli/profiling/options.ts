/** What `profile` can be asked for: a step of a model, a whole generation, or an op; and what goes with which. */
import { ConfigError } from '../../core/errors.ts';
import { requireOptions, type Fields } from '../../core/given.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Progress } from '../../bench/progress.ts';
import { hardwareNamed } from '../../hardware/profiles/named.ts';
import { CACHE_DTYPES, type CacheDtype } from '../../memory/rank-sizes.ts';
import type { ProfileDetail } from '../../profile/profile.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../../tensor/quantised.ts';
import { requireInteger } from '../options.ts';
import type { WithOptions } from '../own/modules.ts';
import { ENGINE_ROUTING_FIELDS, type EngineRoutingOptions } from '../verbs/routing/engine-options.ts';

export const STEPS = ['prefill', 'decode'] as const;
export const DETAILS: readonly ProfileDetail[] = ['pass', 'dispatch'];
export const DEFAULTS = {
  batch: 16,
  tokens: 32,
  /** Tokens that a generation adds. */
  added: 16,
  rounds: 6,
  detail: 'pass',
  step: 'prefill',
} as const;

/** Options of `profile`, those of `moebius profile`. Without `op` or `prompt` it is one step of a model. */
export interface ProfileVerbOptions extends WithOptions, EngineRoutingOptions {
  readonly adapter?: string;
  /** A checkpoint's folder, or a config.json for random weights of its shape; the bundled tiny-moe when absent. */
  readonly model?: string;
  /** One that suits the model when absent; of the bundled one the reference deployment's 128 ranks. */
  readonly layout?: string;
  /** How matrices, keys and values are stored on the device; matrices of a named model as in its files, f32 else. */
  readonly weights?: WeightDtype;
  readonly cache?: CacheDtype;
  /** Sequences of a step. */
  readonly batch?: number;
  /** Of each prompt of a step; with `prompt`, how many a generation adds. */
  readonly tokens?: number;
  readonly microBatches?: number;
  /** The prompts' step, or that of one token of each sequence after it. */
  readonly step?: (typeof STEPS)[number];
  /** A generation in place of a step: its prefill and its decode steps in one account. */
  readonly prompt?: string;
  /** An op in place of a step, by its name. */
  readonly op?: string;
  /** A safetensors file with the op's tensors; a case of the bench when absent. */
  readonly in?: string;
  /** 'k=2', with `in`. */
  readonly attrs?: readonly string[];
  /** Of the op's kernel; the best that can run when absent. */
  readonly variant?: string;
  readonly detail?: ProfileDetail;
  /** Bare runs, and as many instrumented ones. */
  readonly rounds?: number;
  /** False measures no roof: no shares of it, and no recoverable time of GPU rows. */
  readonly roof?: boolean;
  /** A hardware by name, as h100-sxm: its links are modelled between the ranks of the virtual cluster. Free when absent. */
  readonly links?: string;
  /** Where the timeline goes: Perfetto's format, or Chrome's JSON where it ends in .json; gzipped where in .gz. */
  readonly trace?: string;
  /** Where a page of HTML about it goes. */
  readonly report?: string;
  /** A port of this machine for OpenMetrics while it runs, 0 for a free one. */
  readonly metrics?: number;
  readonly tuning?: boolean;
  readonly tuningFile?: string;
  readonly progress?: Progress;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

export const OPTIONS: Fields = {
  adapter: 'string?',
  model: 'string?',
  layout: 'string?',
  weights: 'string?',
  cache: 'string?',
  batch: 'number?',
  tokens: 'number?',
  microBatches: 'number?',
  step: 'string?',
  prompt: 'string?',
  op: 'string?',
  in: 'string?',
  attrs: 'list?',
  variant: 'string?',
  with: 'list?',
  ...ENGINE_ROUTING_FIELDS,
  detail: 'string?',
  rounds: 'number?',
  roof: 'flag?',
  links: 'string?',
  trace: 'string?',
  report: 'string?',
  metrics: 'number?',
  tuning: 'flag?',
  tuningFile: 'string?',
  progress: 'record?',
  signal: 'signal?',
};

type Field = keyof ProfileVerbOptions;

const OF_MODEL: readonly Field[] = [
  ...(['model', 'layout', 'weights', 'cache', 'tokens', 'prompt', 'links'] as const),
  ...(['placement', 'expertSlots', 'placementTrace', 'capacity', 'policy', 'biasRate'] as const),
];
const OF_STEP: readonly Field[] = ['batch', 'microBatches', 'step'];
const OF_OP: readonly Field[] = ['in', 'attrs', 'variant', 'with'];

/** @throws ConfigError for what is no option, no value of one, or would do nothing. */
export function checkProfileOptions(options: ProfileVerbOptions): void {
  requireOptions('profile', options, OPTIONS);
  const { op, prompt, detail, step, weights, cache, batch = DEFAULTS.batch } = options;
  const refuse = (fields: readonly Field[], because: string): void => {
    const given = fields.find((field) => isGiven(options[field]));
    if (given === undefined) return;
    const name = given === 'attrs' ? 'attr' : given.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    throw new ConfigError(`--${name} would do nothing: ${because}. Leave it out.`);
  };
  if (op !== undefined) refuse([...OF_MODEL, ...OF_STEP], 'with --op an op is profiled, not a model');
  else refuse(OF_OP, 'it is for an op, and none is named with --op');
  if (prompt !== undefined) refuse(OF_STEP, 'with --prompt a whole generation is profiled, not one step');
  if (isGiven(options.attrs) && options.in === undefined)
    refuse(['attrs'], 'attributes go with the tensors of --in <file>');
  if (prompt === '') throw new ConfigError('the prompt is empty; give at least one character to continue.');
  requireInteger('batch', batch, 1);
  requireInteger('tokens', options.tokens ?? 1, 1);
  requireInteger('rounds', options.rounds ?? 1, 1);
  if (options.microBatches !== undefined) requireInteger('micro-batches', options.microBatches, 1, batch);
  if (options.links !== undefined) hardwareNamed(options.links);
  requireOneOf('detail', detail, DETAILS);
  requireOneOf('step', step, STEPS);
  requireOneOf('weights', weights, WEIGHT_DTYPES);
  requireOneOf('cache', cache, CACHE_DTYPES);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && !(Array.isArray(value) && value.length === 0);
}

function requireOneOf(name: string, value: string | undefined, known: readonly string[]): void {
  if (value === undefined || known.includes(value)) return;
  throw new ConfigError(`${name} (${quoted(value)}) must be one of ${known.join(', ')}.`);
}
