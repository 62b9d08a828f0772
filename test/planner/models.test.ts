/** Costs of public models against what their makers state and against hand-worked values. */
import { describe, expect, test } from 'vitest';
import { cacheBytesOf, cacheBytesPerToken, countsOf } from '../../src/planner/models/facts.ts';
import { readModelFacts } from '../../src/planner/models/config-json.ts';
import { KNOWN_MODELS, modelNamed } from '../../src/planner/models/named.ts';

const stated = KNOWN_MODELS.filter((model) => model.stated !== undefined && model.stated.total > 1e9);

test.each(stated.map((model) => [model.name, model] as const))(
  '%s has the parameters that are stated',
  (_name, model) => {
    const counts = countsOf(model);
    expect(Math.abs(counts.total / (model.stated?.total ?? NaN) - 1)).toBeLessThan(0.015);
    // Makers differ in whether the embedding is active, and round to whole billions.
    expect(Math.abs(counts.active / (model.stated?.active ?? NaN) - 1)).toBeLessThan(0.16);
  },
);

test.each([
  ['llama-3.1-8b', 131072],
  ['llama-3.1-70b', 327680],
  ['mixtral-8x7b', 131072],
  ['qwen3-30b-a3b', 98304],
  // 61 layers of 512 + 64 elements.
  ['deepseek-v3', 70272],
])('%s keeps %i bytes per token in bf16', (name, bytes) => {
  expect(cacheBytesPerToken(modelNamed(name), 2)).toBe(bytes);
});

test('a windowed layer keeps its window', () => {
  // 18 of 36 layers keep 128 positions, the others all; 2 x 8 x 64 elements.
  expect(cacheBytesOf(modelNamed('gpt-oss-120b'), 1000, 1)).toBe(18 * (1000 + 128) * 1024);
});

test.each([
  ['DeepSeek-R1', 'deepseek-r1'],
  ['deepseek_r1', 'deepseek-r1'],
  ['deepseek-ai/DeepSeek-R1-0528', 'deepseek-r1'],
  ['Mixtral8x7B', 'mixtral-8x7b'],
  ['meta-llama/Llama-3.1-8B-Instruct', 'llama-3.1-8b'],
  ['Qwen3-235B', 'qwen3-235b-a22b'],
  ['QWEN3_235B_A22B_FP8', 'qwen3-235b-a22b'],
  ['openai/gpt-oss-120b', 'gpt-oss-120b'],
  ['MiniMax-M2.5', 'minimax-m2.5'],
  ['Kimi K2', 'kimi-k2'],
  ['card', 'card'],
])('%s is %s', (spelling, name) => {
  expect(modelNamed(spelling).name).toBe(name);
});

test('an unknown model is told with the nearest', () => {
  expect(() => modelNamed('deepsek-r1')).toThrow(/did you mean "deepseek-r1"/);
});

const read = (file: object) =>
  readModelFacts(new TextEncoder().encode(JSON.stringify(file)), 'mine', 'config.json');

const DEEPSEEK_LITE = {
  model_type: 'deepseek_v2',
  vocab_size: 102400,
  hidden_size: 2048,
  num_hidden_layers: 27,
  num_attention_heads: 16,
  num_key_value_heads: 16,
  intermediate_size: 10944,
  moe_intermediate_size: 1408,
  n_routed_experts: 64,
  n_shared_experts: 2,
  num_experts_per_tok: 6,
  first_k_dense_replace: 1,
  kv_lora_rank: 512,
  q_lora_rank: null,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
  max_position_embeddings: 163840,
  torch_dtype: 'bfloat16',
};

describe('a config.json', () => {
  test('of DeepSeek-V2-Lite costs what the preset does', () => {
    expect(countsOf(read(DEEPSEEK_LITE))).toEqual(countsOf(modelNamed('deepseek-v2-lite')));
  });

  test('of Llama 4 Maverick has every second layer dense', () => {
    const facts = read({
      text_config: {
        vocab_size: 202048,
        hidden_size: 5120,
        num_hidden_layers: 48,
        num_attention_heads: 40,
        num_key_value_heads: 8,
        head_dim: 128,
        intermediate_size: 8192,
        intermediate_size_mlp: 16384,
        num_local_experts: 128,
        num_experts_per_tok: 1,
        interleave_moe_layer_step: 2,
        shared_expert_intermediate_size: 8192,
      },
    });
    expect(countsOf(facts).total).toBe(countsOf(modelNamed('llama-4-maverick')).total);
  });

  test('of DBRX nests its sizes', () => {
    const facts = read({
      d_model: 6144,
      n_layers: 40,
      n_heads: 48,
      vocab_size: 100352,
      attn_config: { kv_n_heads: 8 },
      ffn_config: { ffn_hidden_size: 10752, moe_num_experts: 16, moe_top_k: 4 },
    });
    expect(countsOf(facts).total).toBe(countsOf(modelNamed('dbrx')).total);
  });

  test.each([
    [
      'a mistyped field',
      { ...DEEPSEEK_LITE, kv_lora_rank: undefined, kv_lora_rnk: 512 },
      /kv_lora_rnk.*did you mean "kv_lora_rank"/,
    ],
    ['no width', { ...DEEPSEEK_LITE, hidden_size: undefined }, /no hidden_size/],
    ['half a latent', { ...DEEPSEEK_LITE, v_head_dim: undefined }, /v_head_dim/],
    ['a negative size', { ...DEEPSEEK_LITE, hidden_size: -1 }, /hidden_size/],
    ['more chosen than there are', { ...DEEPSEEK_LITE, num_experts_per_tok: 65 }, /65 experts per token/],
    ['more dense layers than layers', { ...DEEPSEEK_LITE, first_k_dense_replace: 28 }, /28 dense layers/],
  ])('with %s is refused', (_what, file, message) => {
    expect(() => read(file)).toThrow(message);
  });
});
