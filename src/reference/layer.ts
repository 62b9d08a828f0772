/** One decoder layer in float64. T new tokens, D width, H query and Hkv key/value heads of Dh, E experts. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { range } from '../core/math.ts';
import { isDense, type MoeConfig, type WeightSource } from '../model/config.ts';
import { nameOf, type Part } from '../model/weights/parts.ts';
import { toF64 } from '../tensor/tensor.ts';
import { gated, sigmoid } from './activation.ts';
import { attention } from './attention.ts';
import type { ReferenceCache } from './cache.ts';
import { add, f64At } from './f64.ts';
import type { GateInput, Routing } from './gate.ts';
import { matmul } from './matmul.ts';
import { type ExpertWeights, moe, type Reroute } from './moe.ts';
import { rmsNorm } from './norm.ts';
import { rope, ropeBy } from './rope.ts';

/** The numbers of a layer by part; experts are stacked. */
export interface ReferenceLayer {
  /** Throws for a part that the layer has not. */
  readonly of: (part: Part) => Float64Array;
  readonly experts: ExpertWeights | undefined;
}

/** Converts the layer's weights to float64 (8 bytes each). */
export function readLayer(weights: WeightSource, layer: number): ReferenceLayer {
  const { config } = weights;
  const experts = isDense(config, layer) ? undefined : readExperts(weights, layer, range(config.numExperts));
  return { of: partsOf(weights, layer), experts };
}

/** Those that a layer has once, each converted when it is first asked for. */
export function partsOf(weights: WeightSource, layer: number): ReferenceLayer['of'] {
  const kept = new Map<Part, Float64Array>();
  return (part) => {
    const found = kept.get(part) ?? toF64(weights.get(nameOf(part, layer)));
    kept.set(part, found);
    return found;
  };
}

/** Some experts of a layer, stacked. */
export function readExperts(weights: WeightSource, layer: number, experts: readonly number[]): ExpertWeights {
  const { modelDim, expertDim, activation, expertBias, clamp } = weights.config;
  const stacked = (part: Part, size: number): Float64Array => {
    const all = new Float64Array(experts.length * size);
    for (const [i, e] of experts.entries()) all.set(toF64(weights.get(nameOf(part, layer, e))), i * size);
    return all;
  };
  const matrix = modelDim * expertDim;
  return {
    ...{ numExperts: experts.length, modelDim, expertDim, activation },
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
}

/** What a layer leaves: the residual stream, and the routing of one that has experts. */
export interface LayerResult {
  readonly x_TD: Float64Array;
  readonly routing: Routing | undefined;
}

/** x -> x + attention -> + experts. The cache is extended by the new positions. */
export function* forwardLayer(
  config: MoeConfig,
  layer: ReferenceLayer,
  index: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): Pieces<LayerResult> {
  const before = yield* beforeExperts.pieces(config, layer.of, index, x_TD, cache);
  return yield* expertsOfLayer.pieces(config, layer, before);
}

/** What `beforeExperts` left -> + experts. @param reroute in place of the router's choice. */
export const expertsOfLayer = piecewise(function* (
  config: MoeConfig,
  { of, experts }: ReferenceLayer,
  { joined_TD, normed_TD }: ReturnType<typeof beforeExperts>,
  reroute?: Reroute,
): Pieces<LayerResult> {
  if (experts === undefined) return { x_TD: joined_TD, routing: undefined };
  const gate = yield* gateOf.pieces(config, of, normed_TD);
  const routed = yield* moe.pieces({ ...experts, ...gate, x_TD: normed_TD }, reroute);
  return { x_TD: add(joined_TD, routed.y_TD), routing: routed };
});

type Parts = ReferenceLayer['of'];

/** The residual stream with all that every token takes, and what the router and the routed experts are given. */
export const beforeExperts = piecewise(function* (
  config: MoeConfig,
  of: Parts,
  index: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): Pieces<{ readonly joined_TD: Float64Array; readonly normed_TD: Float64Array }> {
  const attended = add(x_TD, yield* attend(config, of, index, x_TD, cache));
  const { y_TD: normed_TD } = rmsNorm({ x_TD: attended, weight_D: of('expertNorm'), eps: config.rmsEps });
  if (isDense(config, index)) {
    const unit = yield* mlp(config, of, 'dense', config.dense?.dim ?? 0, normed_TD);
    return { joined_TD: add(attended, unit), normed_TD };
  }
  if (config.shared === undefined) return { joined_TD: attended, normed_TD };
  return { joined_TD: add(attended, yield* shared(config, of, config.shared, normed_TD)), normed_TD };
});

/** What the choice of experts is made from. */
export const gateOf = piecewise(function* (
  config: MoeConfig,
  of: Parts,
  normed_TD: Float64Array,
): Pieces<GateInput> {
  const { score = 'softmax', groups, scale, bias = false, correction = false } = config.router ?? {};
  const { numExperts, modelDim: k, topK, renormalize } = config;
  const plain = yield* matmul.pieces(normed_TD, of('gate'), { m: normed_TD.length / k, n: numExperts, k });
  return {
    logits_TE: bias ? withBias(plain, of('gateBias')) : plain,
    ...{ numExperts, topK, score, renormalize },
    ...(groups && { groups }),
    ...(scale !== undefined && { scale }),
    ...(correction && { bias_E: of('correction') }),
  };
});

/** x -> norm -> q, k, v -> norm of q and k -> rope -> cache -> attention -> o, without the residual. */
function* attend(
  config: MoeConfig,
  of: Parts,
  index: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): Pieces<Float64Array> {
  const { modelDim, numHeads, numKvHeads, headDim, attention: traits = {} } = config;
  const m = x_TD.length / modelDim;
  const positions = range(m).map((t) => cache.length + t);
  const { y_TD } = rmsNorm({ x_TD, weight_D: of('attentionNorm'), eps: config.rmsEps });
  const project = function* (which: 'q' | 'k' | 'v', heads: number): Pieces<Float64Array> {
    const rows = yield* matmul.pieces(y_TD, of(which), { m, n: heads * headDim, k: modelDim });
    return traits.bias ? withBias(rows, of(`${which}Bias`)) : rows;
  };
  const normed = (rows: Float64Array, which: 'q' | 'k'): Float64Array =>
    traits.qkNorm === undefined
      ? rows
      : rmsNorm({ x_TD: rows, weight_D: of(`${which}Norm`), eps: config.rmsEps }).y_TD;
  const clipped = (rows: Float64Array): Float64Array => {
    const { clip } = traits;
    return clip === undefined ? rows : rows.map((x) => Math.max(-clip, Math.min(clip, x)));
  };
  const end = cache.length + m;
  const turn = (x: Float64Array, heads: number): Float64Array => {
    const rows = { x, numHeads: heads, headDim, positions };
    const { rope: angles } = config;
    if (angles === undefined) return rope({ ...rows, theta: config.ropeTheta, style: 'halves' });
    return ropeBy(rows, angles.long !== undefined && end > angles.long.beyond ? angles.long : angles);
  };
  const { k, v } = cache.append(
    index,
    turn(clipped(normed(yield* project('k', numKvHeads), 'k')), numKvHeads),
    clipped(yield* project('v', numKvHeads)),
  );
  const heads = yield* attention.pieces({
    q: turn(clipped(normed(yield* project('q', numHeads), 'q')), numHeads),
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
    ...(traits.sinks && { sinks: of('sinks') }),
  });
  const out = yield* matmul.pieces(heads, of('o'), { m, n: modelDim, k: numHeads * headDim });
  return traits.outBias ? withBias(out, of('oBias')) : out;
}

/** w2 (act(w1 x) (w3 x)) of a plain unit of width F. */
function* mlp(
  { modelDim: k, activation }: MoeConfig,
  of: Parts,
  kind: 'dense' | 'shared',
  dim: number,
  x_TD: Float64Array,
): Pieces<Float64Array> {
  const m = x_TD.length / k;
  const gate = yield* matmul.pieces(x_TD, of(`${kind}W1`), { m, n: dim, k });
  const up = yield* matmul.pieces(x_TD, of(`${kind}W3`), { m, n: dim, k });
  const hidden = gate.map((g, i) => gated(activation, g, f64At(up, i)));
  return yield* matmul.pieces(hidden, of(`${kind}W2`), { m, n: k, k: dim });
}

function* shared(
  config: MoeConfig,
  of: Parts,
  { dim, gated: isGated }: NonNullable<MoeConfig['shared']>,
  x_TD: Float64Array,
): Pieces<Float64Array> {
  const y_TD = yield* mlp(config, of, 'shared', dim, x_TD);
  if (!isGated) return y_TD;
  const k = config.modelDim;
  const logits = yield* matmul.pieces(x_TD, of('sharedGate'), { m: x_TD.length / k, n: 1, k });
  return y_TD.map((y, i) => y * sigmoid(f64At(logits, Math.floor(i / k))));
}

function withBias(rows: Float64Array, bias: Float64Array): Float64Array {
  return rows.map((x, i) => x + f64At(bias, i % bias.length));
}
