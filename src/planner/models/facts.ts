/**
 * A decoder as far as its cost goes, mixture or dense: more kinds than the engine runs. All counts are derived from the
 * shape; D width, L layers, E experts of width F, K of them per token.
 */

import { requireFields } from '../../core/given.ts';
import { product } from '../../core/math.ts';
import {
  attentionShapes,
  cachedElements,
  elementsOf,
  expertShapes,
  gateShape,
  kvHeadsOfRank,
  unitShapes,
  vocabularyShape,
} from '../../memory/shapes.ts';

/** Keys and values of heads; with a window some layers look no further back than it. */
export interface HeadAttention {
  readonly kind: 'heads';
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Positions that a windowed layer sees, and how many layers are. */
  readonly window?: { readonly positions: number; readonly layers: number };
}

/** Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): one latent of `kvRank` and `ropeDim` rotary elements is cached. */
export interface LatentAttention {
  readonly kind: 'latent';
  readonly heads: number;
  /** 0: queries are projected directly. */
  readonly queryRank: number;
  readonly kvRank: number;
  readonly nopeDim: number;
  readonly ropeDim: number;
  readonly valueDim: number;
}

/** Layers without a cache that grows: gated delta rule and the like. */
export interface LinearLayers {
  readonly layers: number;
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly headDim: number;
}

/** The shape of a decoder, dense or mixture, as far as its cost goes. */
export interface ModelFacts {
  readonly name: string;
  readonly vocabSize: number;
  readonly modelDim: number;
  /** All, without those of multi-token prediction. */
  readonly layers: number;
  readonly attention: HeadAttention | LatentAttention;
  readonly linear?: LinearLayers;
  /** Layers whose feed-forward part is dense: all of a dense model, the first of DeepSeek's. */
  readonly denseLayers: number;
  readonly denseDim: number;
  /** Routed experts of a mixture layer; 0 for a dense model. */
  readonly experts: number;
  readonly topK: number;
  readonly expertDim: number;
  /** Width of all shared experts of a layer together. */
  readonly sharedDim: number;
  /** Layers that predict further tokens; not used unless asked for. */
  readonly mtpLayers: number;
  /** The embedding serves as the head too. */
  readonly tied: boolean;
  readonly maxPositions: number;
  /** How its makers store it. */
  readonly precision: 'bf16' | 'fp8' | 'fp4' | 'int4';
  readonly source: string;
  /** What its makers say of parameters. */
  readonly stated?: { readonly total: number; readonly active: number };
}

/** Weights of one part, of one layer of that kind where it is of a layer. */
export interface ModelCounts {
  readonly attention: number;
  readonly linear: number;
  readonly dense: number;
  /** One routed expert: gate, up and down. */
  readonly expert: number;
  readonly shared: number;
  readonly router: number;
  readonly embedding: number;
  readonly head: number;
  readonly mtp: number;
  /** Without multi-token prediction, as makers count. */
  readonly total: number;
  /** That multiply something for one token, the embedding table not among them. */
  readonly active: number;
}

/** q, k, v and o of one layer with full attention: all of them, or what one of `tp` ranks holds. */
export function attentionWeights({ attention: a, modelDim: D }: ModelFacts, tp = 1): number {
  if (a.kind === 'heads')
    return elementsOf(attentionShapes(D, a.headDim, a.heads / tp, kvHeadsOfRank(a.kvHeads, tp)));
  return latentWeights(a, D) / tp;
}

function latentWeights(a: LatentAttention, D: number): number {
  const query = a.heads * (a.nopeDim + a.ropeDim);
  const queries = a.queryRank === 0 ? D * query : D * a.queryRank + a.queryRank * query;
  return (
    queries +
    D * (a.kvRank + a.ropeDim) +
    a.kvRank * a.heads * (a.nopeDim + a.valueDim) +
    a.heads * a.valueDim * D
  );
}

/** Queries, keys, values, gate and output of one linear layer. */
function linearWeights({ linear, modelDim: D }: ModelFacts): number {
  if (linear === undefined) return 0;
  return D * linear.headDim * (2 * linear.keyHeads + 3 * linear.valueHeads);
}

export function mixtureLayers({ layers, denseLayers, experts }: ModelFacts): number {
  return experts === 0 ? 0 : layers - denseLayers;
}

/** Layers whose cache grows with the context. */
export function cachedLayers({ layers, linear }: ModelFacts): number {
  return layers - (linear?.layers ?? 0);
}

/** Weights part by part. @throws ConfigError for what is no model. */
export function countsOf(model: ModelFacts): ModelCounts {
  requireFields('The model', model, { modelDim: 'number', layers: 'number', attention: 'record' });
  const { modelDim: D, experts, topK, layers, denseLayers, mtpLayers } = model;
  const expert = elementsOf(expertShapes(D, model.expertDim));
  const parts = {
    attention: attentionWeights(model),
    linear: linearWeights(model),
    dense: elementsOf(unitShapes(D, model.denseDim)),
    expert,
    shared: elementsOf(unitShapes(D, model.sharedDim)),
    router: product(gateShape(D, experts)),
    embedding: product(vocabularyShape(D, model.vocabSize)),
    head: model.tied ? 0 : product(vocabularyShape(D, model.vocabSize)),
  };
  const mixtures = mixtureLayers(model);
  const outside =
    cachedLayers(model) * parts.attention +
    (layers - cachedLayers(model)) * parts.linear +
    denseLayers * parts.dense +
    mixtures * (parts.shared + parts.router) +
    (2 * layers + 1) * D;
  const mtp = mtpLayers * (parts.attention + parts.shared + parts.router + experts * expert + 2 * D * D);
  return {
    ...parts,
    mtp,
    total: outside + mixtures * experts * expert + parts.embedding + parts.head,
    active: outside + mixtures * topK * expert + model.vocabSize * D,
  };
}

/** Elements that one token adds to the cache of one layer, of one of `tp` ranks: its KV heads twice, or the latent. */
export function cacheElements({ attention: a }: ModelFacts, tp = 1): number {
  if (a.kind === 'latent') return a.kvRank + a.ropeDim;
  return 2 * cachedElements(a.headDim, kvHeadsOfRank(a.kvHeads, tp));
}

/** Bytes that one token adds to the cache of the whole model, windows not counted. */
export function cacheBytesPerToken(model: ModelFacts, bytesPerElement: number): number {
  return cachedLayers(model) * cacheElements(model) * bytesPerElement;
}

/** Bytes of one sequence's cache: a windowed layer keeps no more than its window. */
export function cacheBytesOf(model: ModelFacts, positions: number, bytesPerElement: number): number {
  const { attention: a } = model;
  const windowed = a.kind === 'heads' ? a.window : undefined;
  const full = cachedLayers(model) - (windowed?.layers ?? 0);
  const kept = full * positions + (windowed ? windowed.layers * Math.min(positions, windowed.positions) : 0);
  return kept * cacheElements(model) * bytesPerElement;
}
