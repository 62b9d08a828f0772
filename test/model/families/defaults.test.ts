/** What a config leaves out is what transformers takes for its family; both ages of keys say the same. */
import { expect, test } from 'vitest';
import { modelOfConfig } from '../../../src/model/families/table.ts';

const CORE = {
  ...{ hidden_size: 32, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8 },
  ...{ vocab_size: 99, max_position_embeddings: 64, rms_norm_eps: 1e-6, hidden_act: 'silu' },
};
const DEEPSEEK = {
  ...{ n_routed_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 16, intermediate_size: 24 },
  ...{ n_shared_experts: 2, first_k_dense_replace: 1, rope_theta: 1e4 },
};
const read = (fields: object) => modelOfConfig({ ...CORE, ...fields }, 'm', 'config.json').config;

test('dots1: scores are not divided by their sum unless it is said; windows begin late', () => {
  const dots = { model_type: 'dots1', ...DEEPSEEK };
  expect(read({ ...dots, sliding_window: 4 })).toMatchObject({
    ...{ renormalize: false, dense: { dim: 24, layers: [0] }, shared: { dim: 32, gated: false } },
    ...{ attention: { qkNorm: 'head' }, router: { score: 'sigmoid', correction: true } },
  });
  expect(read({ ...dots, sliding_window: 4 }).attention?.windows).toBeUndefined();
  const windowed = read({ ...dots, norm_topk_prob: true, sliding_window: 4, max_window_layers: 2 });
  expect([windowed.renormalize, windowed.attention?.windows]).toEqual([true, [0, 0, 4]]);
  expect(read({ ...dots, model_type: 'glm4_moe' }).renormalize).toBe(true);
});

test('GLM-4.5: one shared expert, and a first layer without any', () => {
  const rest = { ...DEEPSEEK, n_shared_experts: undefined, first_k_dense_replace: undefined };
  const told = { dense: { dim: 24, layers: [0] }, shared: { dim: 16, gated: false } };
  expect(read({ model_type: 'glm4_moe', ...rest })).toMatchObject(told);
  const bare = read({ model_type: 'dots1', ...rest });
  expect([bare.dense, bare.shared]).toEqual([undefined, undefined]);
});

test('MiniMax-M2: a window is not used, half of a head turns in either age of keys', () => {
  const minimax = {
    model_type: 'minimax_m2',
    num_local_experts: 8,
    num_experts_per_tok: 2,
    intermediate_size: 16,
  };
  const old = read({ ...minimax, rope_theta: 1e4, rotary_dim: 4, sliding_window: 4 });
  const now = read({
    ...minimax,
    rope_parameters: { rope_type: 'default', rope_theta: 1e4, partial_rotary_factor: 0.5 },
  });
  expect(old).toEqual(now);
  expect(old.attention).toEqual({ qkNorm: 'width' });
  expect(old.rope?.frequencies).toEqual([1, 0.01, 0, 0]);
  expect(read(minimax).ropeTheta).toBe(5e6);
  const first = { ...minimax, model_type: 'minimax', architectures: ['MiniMaxM2ForCausalLM'] };
  expect(read(first)).toEqual(read(minimax));
  expect(() => read({ ...first, architectures: ['MiniMaxForCausalLM'] })).toThrow(
    /model_type to "minimax", .*Supported: mixtral/,
  );
});

test('ERNIE-4.5: two shared experts, layers with experts from the second on, neighbours turn', () => {
  const ernie = {
    model_type: 'ernie4_5_moe',
    moe_num_experts: 8,
    moe_k: 2,
    moe_intermediate_size: 16,
    intermediate_size: 24,
  };
  const { config, order, names } = modelOfConfig({ ...CORE, ...ernie }, 'm', 'config.json');
  expect(config).toMatchObject({
    ...{
      shared: { dim: 32, gated: false },
      dense: { dim: 24, layers: [0] },
      ropeTheta: 5e5,
      renormalize: true,
    },
    router: { correction: true },
  });
  expect(order).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
  expect(names.lmHead).toBe('model.embed_tokens.weight');
  expect(read({ ...ernie, moe_num_shared_experts: 0, moe_layer_end_index: 1 })).toMatchObject({
    dense: { dim: 24, layers: [0, 2] },
  });
});
