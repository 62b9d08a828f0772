/** The whole model in float64, on one device, without layout: the truth. T new tokens, D width, V vocabulary. */
import { piecewise, type Piecewise, type Pieces } from '../core/async/pieces.ts';
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { range } from '../core/math.ts';
import { weightNames, type MoeConfig, type WeightSource } from '../model/config.ts';
import { toF64 } from '../tensor/tensor.ts';
import { ReferenceCache } from './cache.ts';
import { argmaxRow, embedding } from './embedding.ts';
import type { Routing } from './gate.ts';
import { forwardLayer, readLayer } from './layer.ts';
import { matmul } from './matmul.ts';
import { rmsNorm } from './norm.ts';

export interface ForwardResult {
  /** [T, V] */
  readonly logits_TV: Float64Array;
  /** Per layer [T, K], by descending score; empty for a layer without experts, as the two below. */
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
  readonly forward: Piecewise<[ids: ArrayLike<number>, cache?: ReferenceCache], ForwardResult>;
  /** `count` greedy continuations of `ids`, ties to the lower id. */
  generate(ids: ArrayLike<number>, count: number): number[];
}

/** Converts all weights to float64 once (8 bytes each). */
export function referenceModel(weights: WeightSource): ReferenceModel {
  requireFields('The weights', weights, { config: 'record', get: 'function' });
  const { config } = weights;
  const read = (name: string): Float64Array => toF64(weights.get(name));
  const table = read(weightNames.embedding);
  const finalNorm = read(weightNames.finalNorm);
  const lmHead = read(weightNames.lmHead);
  const layers = range(config.numLayers).map((layer) => readLayer(weights, layer));
  const newCache = (): ReferenceCache =>
    new ReferenceCache(config.numLayers, config.numKvHeads * config.headDim);

  const forward = piecewise(function* (
    ids: ArrayLike<number>,
    cache: ReferenceCache = newCache(),
  ): Pieces<ForwardResult> {
    const end = cache.length + ids.length;
    if (end > config.maxPositions) {
      throw new ConfigError(
        `${end} tokens are more than the ${config.maxPositions} positions of model ${config.name}. Shorten the text.`,
      );
    }
    let x_TD = embedding(table, ids, config.modelDim);
    const routings: (Routing | undefined)[] = [];
    const hidden: Float64Array[] = [];
    for (const [index, layer] of layers.entries()) {
      const { x_TD: next, routing } = yield* forwardLayer(config, layer, index, x_TD, cache);
      x_TD = next;
      routings.push(routing);
      hidden.push(x_TD);
    }
    cache.length = end;
    const { y_TD } = rmsNorm({ x_TD, weight_D: finalNorm, eps: config.rmsEps });
    return {
      logits_TV: yield* matmul.pieces(y_TD, lmHead, {
        m: ids.length,
        n: config.vocabSize,
        k: config.modelDim,
      }),
      expertIds: routings.map((r) => r?.ids_TK ?? new Int32Array()),
      expertScores: routings.map((r) => r?.scores_TK ?? new Float64Array()),
      gaps: routings.map((r) => r?.gap_T ?? new Float64Array()),
      hidden,
    };
  });

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
