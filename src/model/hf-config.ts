/** The `config.json` of a Hugging Face Mixtral checkpoint. What the harness does not compute is refused, not ignored. */
import * as v from 'valibot';
import { ConfigError } from '../core/errors.ts';
import { quoted } from '../core/quoted.ts';
import type { Activation, MoeConfig } from './config.ts';
import { parseFields } from './fields.ts';
import { parseStrictJson } from './safetensors/strict-json.ts';
import { checkConfig } from './weight-shapes.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

const MixtralFile = v.object({
  model_type: v.literal('mixtral'),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: v.nullish(count),
  hidden_act: v.string(),
  max_position_embeddings: count,
  rms_norm_eps: positive,
  rope_theta: v.nullish(positive),
  rope_parameters: v.nullish(v.object({ rope_theta: positive, rope_type: v.optional(v.literal('default')) })),
  num_experts_per_tok: count,
  num_local_experts: count,
  tie_word_embeddings: v.optional(v.boolean(), false),
  sliding_window: v.nullish(v.unknown()),
  rope_scaling: v.nullish(v.unknown()),
  attention_bias: v.optional(v.boolean(), false),
  quantization_config: v.nullish(v.unknown()),
});

/** Their names for activations that we have. Their `gelu` is the exact form, ours the tanh form, so it is absent. */
const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu_pytorch_tanh', 'gelu'],
  ['gelu_new', 'gelu'],
  ['relu', 'relu'],
  ['linear', 'identity'],
]);

/**
 * @param name what reports call the model.
 * @param label names the file in messages.
 * @throws ConfigError naming the field for anything missing, of the wrong type, impossible or unsupported.
 */
export function readHfConfig(bytes: Uint8Array, name: string, label: string): MoeConfig {
  const file = parseFields(
    MixtralFile,
    parseStrictJson(bytes, label),
    label,
    'It must hold the fields of a Hugging Face MixtralConfig.',
  );
  const refuse = (field: string, value: unknown, remedy: string): never => {
    throw new ConfigError(`${label} sets ${field} to ${quoted(value)}, which is not supported. ${remedy}`);
  };
  if (file.tie_word_embeddings) {
    refuse('tie_word_embeddings', true, 'Store lm_head.weight as a tensor of its own and set it to false.');
  }
  if (file.sliding_window != null) {
    refuse('sliding_window', file.sliding_window, 'Use a checkpoint with full attention (null).');
  }
  if (file.rope_scaling != null) {
    refuse('rope_scaling', file.rope_scaling, 'Use a checkpoint with plain rotary positions (null).');
  }
  if (file.attention_bias) refuse('attention_bias', true, 'Use a checkpoint without biases.');
  if (file.quantization_config != null) {
    refuse('quantization_config', file.quantization_config, 'Convert the weights to F16, BF16 or F32.');
  }
  const activation =
    ACTIVATIONS.get(file.hidden_act) ??
    refuse('hidden_act', file.hidden_act, `Supported: ${[...ACTIVATIONS.keys()].join(', ')}.`);
  const ropeTheta = file.rope_theta ?? file.rope_parameters?.rope_theta;
  if (ropeTheta === undefined) {
    throw new ConfigError(`${label}: rope_theta is missing. Add the base that the model was trained with.`);
  }
  const headDim = file.head_dim ?? file.hidden_size / file.num_attention_heads;
  const config: MoeConfig = {
    name,
    vocabSize: file.vocab_size,
    modelDim: file.hidden_size,
    numLayers: file.num_hidden_layers,
    numHeads: file.num_attention_heads,
    numKvHeads: file.num_key_value_heads,
    headDim,
    numExperts: file.num_local_experts,
    topK: file.num_experts_per_tok,
    expertDim: file.intermediate_size,
    activation,
    renormalize: true,
    ropeTheta,
    rmsEps: file.rms_norm_eps,
    maxPositions: file.max_position_embeddings,
  };
  checkConfig(config);
  return config;
}
