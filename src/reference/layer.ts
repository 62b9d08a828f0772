/** One decoder layer in float64. T new tokens, D width, H query and Hkv key/value heads of Dh, E experts. */
import { range } from '../core/math.ts';
import { isDense, type MoeConfig, type WeightSource } from '../model/config.ts';
import { nameOf, type Part } from '../model/weights/parts.ts';
import { toF64 } from '../tensor/tensor.ts';
import { gated, sigmoid } from './activation.ts';
import { attention } from './attention.ts';
import type { ReferenceCache } from './cache.ts';
import { add, f64At } from './f64.ts';
import type { Routing } from './gate.ts';
import { matmul } from './matmul.ts';
import { type ExpertWeights, moe } from './moe.ts';
import { rmsNorm } from './norm.ts';
import { rope, ropeBy } from './rope.ts';

/** The numbers of a layer by part; experts are stacked. */
export interface ReferenceLayer {
  /** Throws for a part that the layer has not. */
  of(part: Part): Float64Array;
  readonly experts: ExpertWeights | undefined;
}

/** Converts the layer's weights to float64 (8 bytes each). */
export function readLayer(weights: WeightSource, layer: number): ReferenceLayer {
  const { config } = weights;
  const kept = new Map<Part, Float64Array>();
  const read = (part: Part, expert = 0): Float64Array => toF64(weights.get(nameOf(part, layer, expert)));
  const of = (part: Part): Float64Array => {
    const found = kept.get(part) ?? read(part);
    kept.set(part, found);
    return found;
  };
  const stacked = (part: Part, size: number): Float64Array => {
    const all = new Float64Array(config.numExperts * size);
    for (const e of range(config.numExperts)) all.set(read(part, e), e * size);
    return all;
  };
  const { numExperts, modelDim, expertDim, activation, expertBias, clamp } = config;
  const matrix = modelDim * expertDim;
  const experts: ExpertWeights | undefined = isDense(config, layer)
    ? undefined
    : {
        ...{ numExperts, modelDim, expertDim, activation },
        ...(clamp && { swiglu: clamp }),
        w1_EFD: stacked('w1', matrix),
        w2_EDF: stacked('w2', matrix),
        w3_EFD: stacked('w3', matrix),
        ...(expertBias && {
          b1_EF: stacked('b1', expertDim),
          b3_EF: stacked('b3', expertDim),
          b2_ED: stacked('b2', modelDim),
        }),
      };
  return { of, experts };
}

/** What a layer leaves: the residual stream, and the routing of one that has experts. */
export interface LayerResult {
  readonly x_TD: Float64Array;
  readonly routing: Routing | undefined;
}

/** x -> x + attention -> + experts. The cache is extended by the new positions. */
export function forwardLayer(
  config: MoeConfig,
  layer: ReferenceLayer,
  index: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): LayerResult {
  const attended = add(x_TD, attend(config, layer, index, x_TD, cache));
  const { y_TD: normed } = rmsNorm({ x_TD: attended, weight_D: layer.of('expertNorm'), eps: config.rmsEps });
  const m = normed.length / config.modelDim;
  if (layer.experts === undefined) {
    const dim = config.dense?.dim ?? 0;
    return { x_TD: add(attended, mlp(config, layer, 'dense', dim, normed)), routing: undefined };
  }
  const { score = 'softmax', groups, scale, bias = false, correction = false } = config.router ?? {};
  const plain = matmul(normed, layer.of('gate'), { m, n: config.numExperts, k: config.modelDim });
  const routed = moe({
    ...layer.experts,
    x_TD: normed,
    logits_TE: bias ? withBias(plain, layer.of('gateBias')) : plain,
    topK: config.topK,
    score,
    renormalize: config.renormalize,
    ...(groups && { groups }),
    ...(scale !== undefined && { scale }),
    ...(correction && { bias_E: layer.of('correction') }),
  });
  let y_TD = add(attended, routed.y_TD);
  if (config.shared) y_TD = add(y_TD, shared(config, layer, config.shared, normed));
  return { x_TD: y_TD, routing: routed };
}

/** x -> norm -> q, k, v -> norm of q and k -> rope -> cache -> attention -> o, without the residual. */
function attend(
  config: MoeConfig,
  layer: ReferenceLayer,
  index: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): Float64Array {
  const { modelDim, numHeads, numKvHeads, headDim, attention: traits = {} } = config;
  const m = x_TD.length / modelDim;
  const positions = range(m).map((t) => cache.length + t);
  const { y_TD } = rmsNorm({ x_TD, weight_D: layer.of('attentionNorm'), eps: config.rmsEps });
  const project = (which: 'q' | 'k' | 'v', heads: number): Float64Array => {
    const rows = matmul(y_TD, layer.of(which), { m, n: heads * headDim, k: modelDim });
    return traits.bias ? withBias(rows, layer.of(`${which}Bias`)) : rows;
  };
  const normed = (rows: Float64Array, which: 'q' | 'k'): Float64Array =>
    traits.qkNorm === undefined
      ? rows
      : rmsNorm({ x_TD: rows, weight_D: layer.of(`${which}Norm`), eps: config.rmsEps }).y_TD;
  const clipped = (rows: Float64Array): Float64Array => {
    const { clip } = traits;
    return clip === undefined ? rows : rows.map((x) => Math.max(-clip, Math.min(clip, x)));
  };
  const end = cache.length + m;
  const turn = (x: Float64Array, heads: number): Float64Array => {
    const of = { x, numHeads: heads, headDim, positions };
    const { rope: angles } = config;
    if (angles === undefined) return rope({ ...of, theta: config.ropeTheta, style: 'halves' });
    return ropeBy(of, angles.long !== undefined && end > angles.long.beyond ? angles.long : angles);
  };
  const { k, v } = cache.append(
    index,
    turn(clipped(normed(project('k', numKvHeads), 'k')), numKvHeads),
    clipped(project('v', numKvHeads)),
  );
  const heads = attention({
    q: turn(clipped(normed(project('q', numHeads), 'q')), numHeads),
    k,
    v,
    batch: 1,
    numQueries: m,
    numKeys: end,
    numHeads,
    numKvHeads,
    headDim,
    causal: true,
    ...(traits.scale !== undefined && { scale: traits.scale }),
    ...(traits.softcap !== undefined && { softcap: traits.softcap }),
    window: traits.windows?.[index] ?? 0,
    ...(traits.sinks && { sinks: layer.of('sinks') }),
  });
  const out = matmul(heads, layer.of('o'), { m, n: modelDim, k: numHeads * headDim });
  return traits.outBias ? withBias(out, layer.of('oBias')) : out;
}

/** w2 (act(w1 x) (w3 x)) of a plain unit of width F. */
function mlp(
  { modelDim: k, activation }: MoeConfig,
  layer: ReferenceLayer,
  kind: 'dense' | 'shared',
  dim: number,
  x_TD: Float64Array,
): Float64Array {
  const m = x_TD.length / k;
  const gate = matmul(x_TD, layer.of(`${kind}W1`), { m, n: dim, k });
  const up = matmul(x_TD, layer.of(`${kind}W3`), { m, n: dim, k });
  const hidden = gate.map((g, i) => gated(activation, g, f64At(up, i)));
  return matmul(hidden, layer.of(`${kind}W2`), { m, n: k, k: dim });
}

function shared(
  config: MoeConfig,
  layer: ReferenceLayer,
  { dim, gated: isGated }: NonNullable<MoeConfig['shared']>,
  x_TD: Float64Array,
): Float64Array {
  const y_TD = mlp(config, layer, 'shared', dim, x_TD);
  if (!isGated) return y_TD;
  const k = config.modelDim;
  const logits = matmul(x_TD, layer.of('sharedGate'), { m: x_TD.length / k, n: 1, k });
  return y_TD.map((y, i) => y * sigmoid(f64At(logits, Math.floor(i / k))));
}

function withBias(rows: Float64Array, bias: Float64Array): Float64Array {
  return rows.map((x, i) => x + f64At(bias, i % bias.length));
}
