/** Any Hugging Face `config.json`, as far as cost goes. What is missing or contradicts itself is named. */
import * as v from 'valibot';
import { ConfigError } from '../../core/errors.ts';
import { didYouMean, nearestName } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { parseStrictJson } from '../../model/safetensors/strict-json.ts';
import { parseFields } from '../../model/fields.ts';
import type { HeadAttention, LatentAttention, ModelFacts } from './facts.ts';

const MOST = 2 ** 31;
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MOST));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MOST));
const flag = v.boolean();

/** The field of ours, and what files call it: the first that is there counts. */
const SPELLINGS = {
  modelDim: ['hidden_size', 'd_model', 'n_embd'],
  layers: ['num_hidden_layers', 'n_layers', 'n_layer', 'num_layers'],
  heads: ['num_attention_heads', 'n_heads', 'n_head'],
  kvHeads: ['num_key_value_heads', 'kv_n_heads', 'num_query_groups'],
  headDim: ['head_dim', 'attention_head_dim'],
  vocabSize: ['vocab_size'],
  denseDim: ['intermediate_size', 'ffn_hidden_size'],
  expertDim: ['moe_intermediate_size', 'expert_intermediate_size', 'moe_ffn_hidden_size'],
  experts: ['n_routed_experts', 'num_local_experts', 'num_experts', 'moe_num_experts'],
  topK: ['num_experts_per_tok', 'num_experts_per_token', 'moe_top_k', 'experts_per_token', 'moe_topk'],
  maxPositions: ['max_position_embeddings', 'max_seq_len', 'n_positions'],
} as const;

type Name = keyof typeof SPELLINGS;

const OPTIONAL = {
  n_shared_experts: v.nullish(whole),
  shared_expert_intermediate_size: v.nullish(whole),
  shared_intermediate_size: v.nullish(whole),
  first_k_dense_replace: v.nullish(whole),
  mlp_only_layers: v.nullish(v.array(whole)),
  decoder_sparse_step: v.nullish(count),
  interleave_moe_layer_step: v.nullish(count),
  intermediate_size_mlp: v.nullish(count),
  moe_layer_freq: v.nullish(v.union([count, v.array(whole)])),
  kv_lora_rank: v.nullish(count),
  q_lora_rank: v.nullish(count),
  qk_nope_head_dim: v.nullish(count),
  qk_rope_head_dim: v.nullish(count),
  v_head_dim: v.nullish(count),
  num_nextn_predict_layers: v.nullish(whole),
  num_mtp_modules: v.nullish(whole),
  tie_word_embeddings: v.nullish(flag),
  sliding_window: v.nullish(whole),
  use_sliding_window: v.nullish(flag),
  layer_types: v.nullish(v.array(v.string())),
  linear_num_key_heads: v.nullish(count),
  linear_num_value_heads: v.nullish(count),
  linear_value_head_dim: v.nullish(count),
  quantization_config: v.nullish(v.record(v.string(), v.unknown())),
} as const;

const Sizes = v.object(
  Object.fromEntries(
    Object.values(SPELLINGS).flatMap((names) => names.map((name) => [name, v.nullish(count)])),
  ),
);
const Rest = v.object(OPTIONAL);

const KNOWN: readonly string[] = [...Object.values(SPELLINGS).flat(), ...Object.keys(OPTIONAL)];
const REMEDY = 'It must hold the fields of a Hugging Face config.json.';

type Fields = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The text model of a multimodal file, with what DBRX nests laid flat. */
function flat(file: Fields): Fields {
  const text = isRecord(file.text_config) ? { ...file, ...file.text_config } : file;
  const attn = isRecord(text.attn_config) ? text.attn_config : {};
  const ffn = isRecord(text.ffn_config) ? text.ffn_config : {};
  return { ...text, ...attn, ...ffn };
}

/** A key that is a known one mistyped, where that one is absent, would change the cost without a word. */
function refuseMistyped(file: Fields, label: string): void {
  for (const key of Object.keys(file)) {
    if (KNOWN.includes(key)) continue;
    const near = nearestName(key, KNOWN);
    const close = near !== undefined && Math.abs(near.length - key.length) <= 2 && !key.includes(near);
    if (close && file[near] === undefined && sameLetters(key, near)) {
      throw new ConfigError(`${label} has ${quoted(key)}, which is no known field; did you mean "${near}"?`);
    }
  }
}

/** One or two letters differ: other fields of real files are further away. */
function sameLetters(a: string, b: string): boolean {
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return Math.max(a.length, b.length) - start - end <= 2;
}

/**
 * @param label names the file in messages.
 * @throws ConfigError naming the field that is missing, wrong or mistyped.
 */
export function readModelFacts(bytes: Uint8Array, name: string, label: string): ModelFacts {
  const parsed = parseStrictJson(bytes, label);
  if (!isRecord(parsed)) throw new ConfigError(`${label} is no object. ${REMEDY}`);
  const file = flat(parsed);
  refuseMistyped(file, label);
  const sizes = parseFields(Sizes, file, label, REMEDY);
  const rest = parseFields(Rest, file, label, REMEDY);
  const size = (field: Name): number | undefined =>
    SPELLINGS[field].map((key) => sizes[key]).find((value) => value != null) ?? undefined;
  const need = (field: Name): number => {
    const value = size(field);
    if (value !== undefined) return value;
    const [wanted] = SPELLINGS[field];
    throw new ConfigError(`${label} has no ${wanted}${didYouMean(wanted, Object.keys(file))}. ${REMEDY}`);
  };
  const layers = need('layers');
  const experts = size('experts') ?? 0;
  const isMixture = experts > 1;
  const denseLayers = isMixture ? denseLayersOf(rest, layers) : layers;
  const expertDim = isMixture ? (size('expertDim') ?? need('denseDim')) : 0;
  const topK = isMixture ? need('topK') : 0;
  if (topK > experts) throw new ConfigError(`${label}: ${topK} experts per token, but there are ${experts}.`);
  if (denseLayers > layers) {
    throw new ConfigError(`${label}: ${denseLayers} dense layers, but num_hidden_layers is ${layers}.`);
  }
  const linearLayers = (rest.layer_types ?? []).filter((kind) => kind.startsWith('linear')).length;
  const shared =
    rest.shared_expert_intermediate_size ??
    rest.shared_intermediate_size ??
    (rest.n_shared_experts ?? 0) * expertDim;
  return {
    name,
    vocabSize: need('vocabSize'),
    modelDim: need('modelDim'),
    layers,
    attention: rest.kv_lora_rank == null ? headsOf(size, need, rest, layers) : latentOf(need('heads'), rest),
    ...(linearLayers > 0 && {
      linear: {
        layers: linearLayers,
        keyHeads: rest.linear_num_key_heads ?? need('heads'),
        valueHeads: rest.linear_num_value_heads ?? need('heads'),
        headDim: rest.linear_value_head_dim ?? 128,
      },
    }),
    denseLayers,
    denseDim: denseLayers === 0 ? 0 : (rest.intermediate_size_mlp ?? need('denseDim')),
    experts: isMixture ? experts : 0,
    topK,
    expertDim,
    sharedDim: isMixture ? shared : 0,
    mtpLayers: rest.num_nextn_predict_layers ?? rest.num_mtp_modules ?? 0,
    tied: rest.tie_word_embeddings ?? false,
    maxPositions: size('maxPositions') ?? 131072,
    precision: precisionOf(rest.quantization_config),
    source: label,
  };
}

type Rest = v.InferOutput<typeof Rest>;

function denseLayersOf(rest: Rest, layers: number): number {
  if (rest.first_k_dense_replace != null) return rest.first_k_dense_replace;
  if (Array.isArray(rest.moe_layer_freq))
    return rest.moe_layer_freq.filter((mixture) => mixture === 0).length;
  const step = rest.interleave_moe_layer_step ?? rest.decoder_sparse_step ?? 1;
  return layers - Math.floor(layers / step) + (rest.mlp_only_layers ?? []).length;
}

function headsOf(
  size: (field: Name) => number | undefined,
  need: (field: Name) => number,
  rest: Rest,
  layers: number,
): HeadAttention {
  const heads = need('heads');
  const headDim = size('headDim') ?? need('modelDim') / heads;
  if (!Number.isInteger(headDim)) {
    throw new ConfigError(`hidden_size ${need('modelDim')} is no multiple of ${heads} heads; add head_dim.`);
  }
  const plain: HeadAttention = { kind: 'heads', heads, kvHeads: size('kvHeads') ?? heads, headDim };
  const kinds = rest.layer_types ?? [];
  const windowed = kinds.filter((kind) => /sliding|chunked|local/.test(kind)).length;
  const all = rest.use_sliding_window !== false && kinds.length === 0 ? layers : windowed;
  const positions = rest.sliding_window ?? 0;
  return positions > 0 && all > 0 ? { ...plain, window: { positions, layers: all } } : plain;
}

function latentOf(heads: number, rest: Rest): LatentAttention {
  const { kv_lora_rank: kvRank, qk_nope_head_dim: nope, qk_rope_head_dim: rope, v_head_dim: value } = rest;
  if (kvRank == null || nope == null || rope == null || value == null) {
    throw new ConfigError(
      'Latent attention (kv_lora_rank) needs qk_nope_head_dim, qk_rope_head_dim and v_head_dim. Add what is missing.',
    );
  }
  return {
    kind: 'latent',
    heads,
    queryRank: rest.q_lora_rank ?? 0,
    kvRank,
    nopeDim: nope,
    ropeDim: rope,
    valueDim: value,
  };
}

function precisionOf(quantised: Fields | null | undefined): ModelFacts['precision'] {
  const method = typeof quantised?.quant_method === 'string' ? quantised.quant_method : '';
  if (/fp8/.test(method)) return 'fp8';
  if (/fp4/.test(method)) return 'fp4';
  return /awq|gptq|compressed/.test(method) ? 'int4' : 'bf16';
}
