/** The shape of a mixture-of-experts decoder: all that layouts, kernels, references and cost formulas need. */

import type { Activation } from '../core/activation.ts';
import { requireFields } from '../core/given.ts';
import type { Tensor } from '../tensor/tensor.ts';

export type { Activation };

/**
 * The shape of a mixture-of-experts model in the style of Mixtral: what layouts, engines and costs are computed from.
 */
export interface MoeConfig {
  readonly name: string;
  readonly vocabSize: number;
  /** D: width of the residual stream. */
  readonly modelDim: number;
  readonly numLayers: number;
  /** Query heads. */
  readonly numHeads: number;
  /** Key/value heads; fewer than `numHeads` is grouped-query attention, `numHeads` must be a multiple. */
  readonly numKvHeads: number;
  readonly headDim: number;
  /** E: routed experts per layer. */
  readonly numExperts: number;
  /** K: experts per token. */
  readonly topK: number;
  /** F: hidden width of one expert. */
  readonly expertDim: number;
  readonly activation: Activation;
  /** True when the selected scores are divided by their sum. */
  readonly renormalize: boolean;
  readonly ropeTheta: number;
  readonly rmsEps: number;
  /** Positions the model was trained for: the longest sequence it is asked to serve. */
  readonly maxPositions: number;
}

/** What every caller of the API's formulas and layouts must give. @throws ConfigError for what is no config. */
export function requireConfig(config: unknown): void {
  requireFields('The config', config, {
    vocabSize: 'number',
    modelDim: 'number',
    numLayers: 'number',
    numHeads: 'number',
    numExperts: 'number',
    topK: 'number',
  });
}

/**
 * Weights by their Hugging Face Mixtral name (`model.layers.0.self_attn.q_proj.weight`), in the stored
 * orientation: rows are outputs, columns are inputs.
 */
export interface WeightSource {
  readonly config: MoeConfig;
  /** Where the numbers come from, for reports: a folder, or the seed of synthetic weights. */
  readonly origin: string;
  /** @throws ConfigError when there is no such tensor or its shape is not the one the config asks for. */
  get(name: string): Tensor;
}

/** The tensor names of one model. Layer and expert indices are global. */
export const weightNames = {
  embedding: 'model.embed_tokens.weight',
  finalNorm: 'model.norm.weight',
  lmHead: 'lm_head.weight',
  attentionNorm: (layer: number) => `model.layers.${layer}.input_layernorm.weight`,
  expertNorm: (layer: number) => `model.layers.${layer}.post_attention_layernorm.weight`,
  projection: (layer: number, which: 'q' | 'k' | 'v' | 'o') =>
    `model.layers.${layer}.self_attn.${which}_proj.weight`,
  gate: (layer: number) => `model.layers.${layer}.block_sparse_moe.gate.weight`,
  expert: (layer: number, expert: number, which: 'w1' | 'w2' | 'w3') =>
    `model.layers.${layer}.block_sparse_moe.experts.${expert}.${which}.weight`,
} as const;
