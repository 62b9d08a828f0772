/** The whole model in float64, on one device, without layout: the truth. T new tokens, D width, V vocabulary. */
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { range } from '../core/math.ts';
import { weightNames, type MoeConfig, type WeightSource } from '../model/config.ts';
import { toF64 } from '../tensor/tensor.ts';
import { attention } from './attention.ts';
import { ReferenceCache } from './cache.ts';
import { argmaxRow, embedding } from './embedding.ts';
import { add } from './f64.ts';
import { matmul } from './matmul.ts';
import { moe, type ExpertWeights } from './moe.ts';
import { rmsNorm } from './norm.ts';
import { rope } from './rope.ts';

export interface ForwardResult {
  /** [T, V] */
  readonly logits_TV: Float64Array;
  /** Per layer [T, K], by descending score. */
  readonly expertIds: readonly Int32Array[];
  /** Per layer [T, K]. */
  readonly expertScores: readonly Float64Array[];
  /** Per layer [T]: K-th minus (K+1)-th router probability. Small: another precision may choose another expert. */
  readonly gaps: readonly Float64Array[];
  /** Per layer [T, D]: the residual stream after it. */
  readonly hidden: readonly Float64Array[];
}

/** A model in float64 on the CPU, which kernels and engines are checked against. */
export interface ReferenceModel {
  readonly config: MoeConfig;
  newCache(): ReferenceCache;
  /**
   * @param ids the new tokens. @param cache of the tokens before them, which it extends; none starts at position 0.
   * @throws ConfigError for an id outside the vocabulary or positions beyond `maxPositions`.
   */
  forward(ids: ArrayLike<number>, cache?: ReferenceCache): ForwardResult;
  /** `count` greedy continuations of `ids`, ties to the lower id. */
  generate(ids: ArrayLike<number>, count: number): number[];
}

interface Layer {
  readonly attentionNorm: Float64Array;
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
  readonly o: Float64Array;
  readonly expertNorm: Float64Array;
  readonly gate: Float64Array;
  readonly experts: ExpertWeights;
}

/** Converts all weights to float64 once (8 bytes each). */
export function referenceModel(weights: WeightSource): ReferenceModel {
  requireFields('The weights', weights, { config: 'record', get: 'function' });
  const { config } = weights;
  const read = (name: string): Float64Array => toF64(weights.get(name));
  const table = read(weightNames.embedding);
  const finalNorm = read(weightNames.finalNorm);
  const lmHead = read(weightNames.lmHead);
  const layers = range(config.numLayers).map((layer) => readLayer(config, layer, read));
  const newCache = (): ReferenceCache =>
    new ReferenceCache(config.numLayers, config.numKvHeads * config.headDim);

  function forward(ids: ArrayLike<number>, cache = newCache()): ForwardResult {
    const end = cache.length + ids.length;
    if (end > config.maxPositions) {
      throw new ConfigError(
        `${end} tokens are more than the ${config.maxPositions} positions of model ${config.name}. Shorten the text.`,
      );
    }
    let x_TD = embedding(table, ids, config.modelDim);
    const routings: ReturnType<typeof moe>[] = [];
    const hidden: Float64Array[] = [];
    for (const [index, layer] of layers.entries()) {
      const attended = add(x_TD, attend(config, layer, index, x_TD, cache));
      const routing = mixExperts(config, layer, attended);
      x_TD = add(attended, routing.y_TD);
      routings.push(routing);
      hidden.push(x_TD);
    }
    cache.length = end;
    const { y_TD } = rmsNorm({ x_TD, weight_D: finalNorm, eps: config.rmsEps });
    return {
      logits_TV: matmul(y_TD, lmHead, { m: ids.length, n: config.vocabSize, k: config.modelDim }),
      expertIds: routings.map((r) => r.ids_TK),
      expertScores: routings.map((r) => r.scores_TK),
      gaps: routings.map((r) => r.gap_T),
      hidden,
    };
  }

  function generate(ids: ArrayLike<number>, count: number): number[] {
    const cache = newCache();
    const fresh: number[] = [];
    let next: ArrayLike<number> = ids;
    for (let i = 0; i < count; i++) {
      const { logits_TV } = forward(next, cache);
      const token = argmaxRow(logits_TV, next.length - 1, config.vocabSize);
      fresh.push(token);
      next = [token];
    }
    return fresh;
  }

  return { config, newCache, forward, generate };
}

function readLayer(config: MoeConfig, layer: number, read: (name: string) => Float64Array): Layer {
  const stacked = (which: 'w1' | 'w2' | 'w3'): Float64Array => {
    const size = config.expertDim * config.modelDim;
    const all = new Float64Array(config.numExperts * size);
    for (const e of range(config.numExperts)) all.set(read(weightNames.expert(layer, e, which)), e * size);
    return all;
  };
  return {
    attentionNorm: read(weightNames.attentionNorm(layer)),
    q: read(weightNames.projection(layer, 'q')),
    k: read(weightNames.projection(layer, 'k')),
    v: read(weightNames.projection(layer, 'v')),
    o: read(weightNames.projection(layer, 'o')),
    expertNorm: read(weightNames.expertNorm(layer)),
    gate: read(weightNames.gate(layer)),
    experts: {
      numExperts: config.numExperts,
      modelDim: config.modelDim,
      expertDim: config.expertDim,
      activation: config.activation,
      w1_EFD: stacked('w1'),
      w2_EDF: stacked('w2'),
      w3_EFD: stacked('w3'),
    },
  };
}

/** x -> norm -> q, k, v -> rope -> cache -> attention -> o, without the residual. */
function attend(
  config: MoeConfig,
  layer: Layer,
  index: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): Float64Array {
  const { modelDim, numHeads, numKvHeads, headDim } = config;
  const m = x_TD.length / modelDim;
  const positions = range(m).map((t) => cache.length + t);
  const { y_TD } = rmsNorm({ x_TD, weight_D: layer.attentionNorm, eps: config.rmsEps });
  const project = (weight: Float64Array, heads: number): Float64Array =>
    matmul(y_TD, weight, { m, n: heads * headDim, k: modelDim });
  const turn = (x: Float64Array, heads: number): Float64Array =>
    rope({ x, numHeads: heads, headDim, positions, theta: config.ropeTheta, style: 'halves' });
  const { k, v } = cache.append(
    index,
    turn(project(layer.k, numKvHeads), numKvHeads),
    project(layer.v, numKvHeads),
  );
  const heads = attention({
    q: turn(project(layer.q, numHeads), numHeads),
    k,
    v,
    batch: 1,
    numQueries: m,
    numKeys: cache.length + m,
    numHeads,
    numKvHeads,
    headDim,
    causal: true,
  });
  return matmul(heads, layer.o, { m, n: modelDim, k: numHeads * headDim });
}

/** x -> norm -> gate -> experts, without the residual. */
function mixExperts(config: MoeConfig, layer: Layer, x_TD: Float64Array): ReturnType<typeof moe> {
  const { y_TD } = rmsNorm({ x_TD, weight_D: layer.expertNorm, eps: config.rmsEps });
  const m = x_TD.length / config.modelDim;
  return moe({
    ...layer.experts,
    x_TD: y_TD,
    logits_TE: matmul(y_TD, layer.gate, { m, n: config.numExperts, k: config.modelDim }),
    topK: config.topK,
    score: 'softmax',
    renormalize: config.renormalize,
  });
}
