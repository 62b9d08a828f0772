/** The shape of a mixture-of-experts decoder: all that layouts, kernels, references and cost formulas need. */

import type { Activation } from '../core/activation.ts';
import type { GroupLimit, ScoreFunction } from '../core/gating.ts';
import { requireFields } from '../core/given.ts';

export type { Activation };

/** What an attention block has beside the plain one of Mixtral: a family's own, absent where it is not. */
export interface AttentionTraits {
  /** Of the scores; 1 / sqrt(headDim) when absent. */
  readonly scale?: number;
  /** Biases of the query, key and value projections. */
  readonly bias?: boolean;
  /** A bias of the output projection. */
  readonly outBias?: boolean;
  /** RMSNorm of queries and keys before they turn: of each head, or over all heads together (OLMoE). */
  readonly qkNorm?: 'head' | 'width';
  /** Queries, keys and values are clamped to +-clip, after the norm (OLMoE). */
  readonly clip?: number;
  /** A learned logit per query head that joins the denominator (gpt-oss). */
  readonly sinks?: boolean;
  /** Scores become softcap tanh(score / softcap). */
  readonly softcap?: number;
  /** Keys that a query of each layer sees, its own position included; 0 sees all. */
  readonly windows?: readonly number[];
}

/** Angles of rotary positions by pair: position * frequencies[i], cos and sin times `factor`. */
export interface RopeAngles {
  /** [headDim / 2]; 0 leaves a pair as it is. */
  readonly frequencies: readonly number[];
  readonly factor: number;
}

/** Angles of a model that does not use theta^(-2i/headDim) for all pairs. */
export interface RopeTraits extends RopeAngles {
  /** For sequences longer than `beyond` positions (longrope). */
  readonly long?: RopeAngles & { readonly beyond: number };
}

/** How a router differs from softmax scores of plain logits. */
export interface RouterTraits {
  readonly score?: ScoreFunction;
  /** Factor of the chosen scores. */
  readonly scale?: number;
  /** A bias joins the logits (gpt-oss). */
  readonly bias?: boolean;
  /** A correction is added to the scores for the choice only (DeepSeek-V3). */
  readonly correction?: boolean;
  readonly groups?: GroupLimit;
}

/** Constants of the clamped SwiGLU: g = min(gate, limit); g sigmoid(alpha g) (clamp(up, +-limit) + beta). */
export interface ClampTraits {
  readonly alpha: number;
  readonly beta: number;
  readonly limit: number;
}

/**
 * The shape of a mixture-of-experts model: what layouts, engines and costs are computed from. The records that may be
 * absent say where a family departs from Mixtral.
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
  readonly attention?: AttentionTraits;
  readonly rope?: RopeTraits;
  readonly router?: RouterTraits;
  /** Biases of the experts' matrices. */
  readonly expertBias?: boolean;
  readonly clamp?: ClampTraits;
  /** An expert of this width that every token takes beside its own; `gated`: times a sigmoid of its own logit. */
  readonly shared?: { readonly dim: number; readonly gated: boolean };
  /** Layers (from 0) that have one plain SwiGLU of this width in place of router and experts. */
  readonly dense?: { readonly dim: number; readonly layers: readonly number[] };
  /** The residual stream is the model's own divided by this (multipliers that were folded into the weights). */
  readonly hiddenScale?: number;
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

/** Whether layer `layer` has a plain SwiGLU in place of experts. */
export function isDense({ dense }: MoeConfig, layer: number): boolean {
  return dense?.layers.includes(layer) ?? false;
}
