/** What the configs of several families say in the same words. */
import { ConfigError } from '../../core/errors.ts';
import { range } from '../../core/math.ts';
import type { AttentionTraits, MoeConfig } from '../config.ts';
import type { ConfigFile } from './config-file.ts';
import { type PairStyle, readRope, type RopeReading } from './rope.ts';

/** Fields that would change the model and that none of the families has, with the values that change nothing. */
const INERT: readonly (readonly [key: string, inert: readonly unknown[]])[] = [
  ['mlp_bias', [false]],
  ['attn_logit_softcapping', [0]],
  ['final_logit_softcapping', [0]],
  ['position_embedding_type', ['rope']],
  ['alibi', [false]],
  ['is_encoder_decoder', [false]],
  ['add_cross_attention', [false]],
  // Latent attention of DeepSeek.
  ['q_lora_rank', []],
  ['kv_lora_rank', []],
  ['use_mla', [false]],
  // Chunks, layers without positions and temperatures of Llama 4.
  ['attention_chunk_size', []],
  ['no_rope_layers', []],
  ['attn_temperature_tuning', [false]],
  // Multipliers and scales of MiniCPM and Gemma.
  ['scale_emb', [1]],
  ['scale_depth', []],
  ['query_pre_attn_scalar', []],
  ['sliding_window_pattern', []],
  ['zero_expert_num', [0]],
];

/** Multipliers of Granite, which would change any other model. */
export const MULTIPLIERS: readonly string[] = [
  'embedding_multiplier',
  'residual_multiplier',
  'logits_scaling',
  'attention_multiplier',
];

/** @param own fields of these names that the family reads itself. */
export function refuseStrange(file: ConfigFile, own: readonly string[] = []): void {
  const scales = MULTIPLIERS.map((key): (typeof INERT)[number] => [key, [1]]);
  for (const [key, inert] of [...INERT, ...scales]) {
    if (!own.includes(key)) file.only(key, inert, 'Use a checkpoint without it.');
  }
}

type Core = Pick<
  MoeConfig,
  | 'vocabSize'
  | 'modelDim'
  | 'numLayers'
  | 'numHeads'
  | 'numKvHeads'
  | 'headDim'
  | 'activation'
  | 'ropeTheta'
  | 'rmsEps'
  | 'maxPositions'
> &
  Pick<MoeConfig, 'rope'>;

/** The stack of layers and its attention, with how rotary positions lie in its heads. */
export function readCore(
  file: ConfigFile,
  options: {
    readonly style?: PairStyle;
    /** Elements of a head that turn; all when absent. */
    readonly rotaryDim?: (headDim: number) => number;
    readonly theta?: number;
  } = {},
): { readonly core: Core; readonly order: RopeReading['order'] } {
  const [modelDim, numHeads] = [file.count('hidden_size'), file.count('num_attention_heads')];
  const headDim = file.countOr('head_dim', modelDim / numHeads);
  if (!Number.isInteger(headDim)) {
    throw new ConfigError(
      `${file.label}: head_dim is missing, and hidden_size (${modelDim}) is no multiple of num_attention_heads (${numHeads}). Add head_dim.`,
    );
  }
  if (headDim % 2 !== 0) {
    throw new ConfigError(
      `headDim (${headDim}) of ${file.label} is odd; rotary positions turn pairs. Choose an even head_dim.`,
    );
  }
  const maxPositions = file.count('max_position_embeddings');
  const { theta, rope, order } = readRope(file, {
    headDim,
    rotaryDim: options.rotaryDim?.(headDim) ?? headDim,
    maxPositions,
    style: options.style ?? 'halves',
    ...(options.theta !== undefined && { theta: options.theta }),
  });
  const core = {
    vocabSize: file.count('vocab_size'),
    modelDim,
    numLayers: file.count('num_hidden_layers'),
    numHeads,
    numKvHeads: file.countOr('num_key_value_heads', numHeads),
    headDim,
    activation: file.activation(),
    ropeTheta: theta,
    rmsEps: file.positive('rms_norm_eps'),
    maxPositions,
    ...(rope && { rope }),
  };
  return { core, order };
}

/** The part of a head that turns, where `partial_rotary_factor` says how much, in either age of the keys. */
export function partialRotary(file: ConfigFile, otherwise: number): (headDim: number) => number {
  const factor =
    file.record('rope_parameters')?.positiveOr('partial_rotary_factor', undefined) ??
    file.positiveOr('partial_rotary_factor', otherwise);
  return (headDim) => Math.trunc(headDim * factor);
}

/** A record without what is undefined or false; absent when nothing is left. */
export function present<T extends object>(record: T): Partial<T> | undefined {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined && value !== false);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as Partial<T>);
}

/** `attention` of a config, where there is anything to say. */
export function withAttention(traits: {
  readonly [K in keyof AttentionTraits]?: AttentionTraits[K] | undefined;
}): { readonly attention?: AttentionTraits } {
  const attention = present(traits);
  return attention === undefined ? {} : { attention: attention as AttentionTraits };
}

/**
 * Keys that each layer's queries see: `layer_types` names those that slide, else `slides` tells.
 * @returns undefined where all see everything.
 */
export function readWindows(
  file: ConfigFile,
  numLayers: number,
  window: number | undefined,
  slides: (layer: number) => boolean,
): readonly number[] | undefined {
  const types = file.texts('layer_types');
  if (types === undefined && window === undefined) return undefined;
  file.fewLayers(numLayers);
  if (types !== undefined && types.length < numLayers) {
    throw new ConfigError(
      `${file.label}: layer_types has ${types.length} entries for ${numLayers} layers. Give one per layer.`,
    );
  }
  const windows = range(numLayers).map((layer) => {
    const type = types?.[layer];
    if (type !== undefined && type !== 'sliding_attention' && type !== 'full_attention') {
      return file.refuse('layer_types', 'Supported: full_attention, sliding_attention.');
    }
    const sliding = type === undefined ? slides(layer) : type === 'sliding_attention';
    if (!sliding) return 0;
    if (window === undefined) {
      throw new ConfigError(`${file.label}: layer ${layer} slides, but sliding_window is missing. Add it.`);
    }
    return window;
  });
  return windows.some((w) => w > 0) ? windows : undefined;
}

/** Layers that a test picks, where there are any. */
export function layersWhere(
  file: ConfigFile,
  numLayers: number,
  dense: (layer: number) => boolean,
): number[] {
  file.fewLayers(numLayers);
  const layers = range(numLayers).filter(dense);
  if (layers.length < numLayers) return layers;
  throw new ConfigError(
    `${file.label}: none of the ${numLayers} layers has experts. Use a mixture of experts.`,
  );
}

/** The block of FP8 matrices; undefined without. @throws ConfigError for any other quantisation. */
export function readFp8(file: ConfigFile): readonly [number, number] | undefined {
  const quantisation = file.record('quantization_config');
  if (quantisation === undefined) return undefined;
  const remedy = 'Supported: fp8 with weight_block_size, and mxfp4 of gpt-oss. Convert the weights to BF16.';
  if (quantisation.any('quant_method') !== 'fp8') file.refuse('quantization_config', remedy);
  const block = quantisation.naturals('weight_block_size');
  const [rows, columns] = block;
  if (block.length !== 2 || !rows || !columns) file.refuse('quantization_config', remedy);
  return [rows ?? 0, columns ?? 0];
}
