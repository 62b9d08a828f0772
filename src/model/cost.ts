/**
 * What a model costs by arithmetic alone: parameters, FLOP and bytes. Every number here is modelled.
 * D width, L layers, Hq and Hkv heads of Dh, E experts of width F, K per token, V vocabulary.
 */
import { requireGiven } from '../core/given.ts';
import { sum } from '../core/math.ts';
import { requireConfig, type MoeConfig } from './config.ts';

export interface Parameters {
  /** V D: one row of it is read per token. */
  readonly embedding: number;
  /** L (2 D Hq Dh + 2 D Hkv Dh) */
  readonly attention: number;
  /** L E D */
  readonly router: number;
  /** L E 3 D F */
  readonly experts: number;
  /** (2 L + 1) D */
  readonly norms: number;
  /** V D */
  readonly lmHead: number;
  readonly total: number;
  /** Those that multiply something for one token: all without the embedding table and the E - K experts not chosen. */
  readonly active: number;
}

/**
 * Numbers of weights of a model, part by part, in all and active for one token.
 * @throws ConfigError for a config without the sizes that it needs.
 */
export function parameters(config: MoeConfig): Parameters {
  requireConfig(config);
  const { vocabSize, modelDim, numLayers, numExperts, topK, expertDim } = config;
  const parts = {
    embedding: vocabSize * modelDim,
    attention: numLayers * 2 * modelDim * (config.numHeads + config.numKvHeads) * config.headDim,
    router: numLayers * numExperts * modelDim,
    experts: numLayers * numExperts * 3 * modelDim * expertDim,
    norms: (2 * numLayers + 1) * modelDim,
    lmHead: vocabSize * modelDim,
  };
  const total = sum(Object.values(parts));
  return {
    ...parts,
    total,
    active: total - parts.embedding - (parts.experts * (numExperts - topK)) / numExperts,
  };
}

export interface FlopsPerToken {
  /** q, k, v and o: 2 per parameter. */
  readonly attentionProjections: number;
  /** L 4 Hq Dh S: scores and weighted values, 2 each, over the S positions that the token sees. */
  readonly attentionScores: number;
  readonly router: number;
  /** L K 6 D F */
  readonly experts: number;
  readonly lmHead: number;
  readonly total: number;
}

/**
 * FLOP of the forward pass of one token, GEMMs only (2 per multiply-add).
 * @param kvLength positions that the token attends to, itself included. A causal prefill of S tokens has (S + 1) / 2 on average.
 */
export function flopsPerToken(config: MoeConfig, kvLength: number): FlopsPerToken {
  requireConfig(config);
  requireGiven('kvLength', kvLength, 'number');
  const count = parameters(config);
  const parts = {
    attentionProjections: 2 * count.attention,
    attentionScores: config.numLayers * 4 * config.numHeads * config.headDim * kvLength,
    router: 2 * count.router,
    experts: (2 * count.experts * config.topK) / config.numExperts,
    lmHead: 2 * count.lmHead,
  };
  return { ...parts, total: sum(Object.values(parts)) };
}

/** Bytes of all weights. */
export function weightBytes(config: MoeConfig, bytesPerWeight: number): number {
  requireConfig(config);
  requireGiven('bytesPerWeight', bytesPerWeight, 'number');
  return parameters(config).total * bytesPerWeight;
}

/** 2 L Hkv Dh bytes: what one token adds to the KV cache of the whole model. */
export function kvBytesPerToken(config: MoeConfig, bytesPerElement: number): number {
  requireConfig(config);
  requireGiven('bytesPerElement', bytesPerElement, 'number');
  return 2 * config.numLayers * config.numKvHeads * config.headDim * bytesPerElement;
}
