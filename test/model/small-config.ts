/** The config.json of a model of a few numbers. */

/** D 4, 2 heads of 2 (1 kv head), 1 layer, 2 experts of width 3, 5 tokens. */
export const SMALL = {
  model_type: 'mixtral',
  vocab_size: 5,
  hidden_size: 4,
  intermediate_size: 3,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  hidden_act: 'silu',
  max_position_embeddings: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 1e4,
  num_experts_per_tok: 1,
  num_local_experts: 2,
};
