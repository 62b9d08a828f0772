/** What a target rate asks of each GPU. Every number here is modelled; set it beside measured rates, never add them. */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { requireConfig, type MoeConfig } from './config.ts';
import { flopsPerToken, kvBytesPerToken, parameters } from './cost.ts';

/** One GPU's share of the model, and how tokens come to it. */
export interface TargetLayout {
  /** GPUs that split the heads of one token group. */
  readonly tp: number;
  /** Pipeline stages; every token crosses all of them. */
  readonly pp: number;
  /** GPUs that share the experts of a stage; experts are not split further. */
  readonly ep: number;
  /** Tokens of one micro-batch of one TP group: weights are read once for them. */
  readonly tokensPerMicroBatch: number;
  /** Positions that a token attends to, on average. */
  readonly kvLength: number;
  /** Tokens of one sequence that share one pass over its keys and values: 1 in decoding, a tile in prefill. */
  readonly tokensPerKvRead: number;
  readonly bytesPerWeight: number;
  /** Of activations and of the KV cache. */
  readonly bytesPerActivation: number;
}

/** Means over all GPUs; the last stage also carries lm_head, so it needs more and the others less. */
export interface TargetNeeds {
  readonly flopsPerSecond: number;
  readonly weightBytesPerSecond: number;
  readonly activationBytesPerSecond: number;
  readonly kvBytesPerSecond: number;
  readonly bytesPerSecond: number;
  /** FLOP per byte: beside a machine's ratio of peaks it tells which of the two binds. */
  readonly intensity: number;
  /** Tokens that pass each layer of one TP group: rate pp tp. */
  readonly tokensPerMsPerTpGroup: number;
  /** Rows of the grouped GEMMs of one GPU per layer when experts are balanced: rate pp K. */
  readonly expertRowsPerMs: number;
}

/**
 * With r tokens/ms per GPU and N GPUs the system completes r N tokens/ms. Each token takes f = flopsPerToken in all,
 * wherever the layout puts them, so a GPU does r N f / N = r f. (Each crosses pp stages, so a GPU meets r pp tokens
 * for its 1/pp of the layers: the same product.) A stage has N / pp GPUs = N / (pp tp) TP groups, hence
 * r pp tp tokens/ms per group and, with M tokens per micro-batch, r pp tp / M micro-batches/ms, each reading once the
 * weights that are resident:
 *   (attention + lm_head) / (pp tp) + (norms + router) / pp + experts / (pp ep)   parameters.
 * The EP exchange gathers the micro-batches of all its GPUs, so experts are read once per micro-batch step too.
 * KV: a token reads kvLength positions of all layers, once per `tokensPerKvRead` tokens; heads are split over TP as
 * far as there are any. Activations: every operation's inputs and outputs once (`activationElements`).
 * @param tokensPerMsPerGpu r. @throws ConfigError when a number is not positive.
 */
export function targetNeeds(config: MoeConfig, tokensPerMsPerGpu: number, layout: TargetLayout): TargetNeeds {
  requireConfig(config);
  requireGiven('The target', tokensPerMsPerGpu, 'number');
  requireFields('The layout', layout, { tp: 'number', pp: 'number', ep: 'number', kvLength: 'number' });
  const { tp, pp, ep, tokensPerMicroBatch, kvLength, tokensPerKvRead, bytesPerActivation } = layout;
  for (const [field, value] of Object.entries({ tokensPerMsPerGpu, ...layout })) {
    if (!(value > 0 && Number.isFinite(value))) {
      throw new ConfigError(`${field} (${value}) must be a positive number.`);
    }
  }
  const perSecond = 1e3 * tokensPerMsPerGpu;
  const count = parameters(config);
  const resident =
    (count.attention + count.lmHead) / (pp * tp) +
    (count.norms + count.router) / pp +
    count.experts / (pp * ep);
  const microBatchesPerSecond = (perSecond * pp * tp) / tokensPerMicroBatch;
  const kvCopies = tp / Math.min(tp, config.numKvHeads);
  const flopsPerSecond = perSecond * flopsPerToken(config, kvLength).total;
  const weightBytesPerSecond = microBatchesPerSecond * resident * layout.bytesPerWeight;
  const activationBytesPerSecond = perSecond * activationElements(config, tp) * bytesPerActivation;
  const kvBytesPerSecond =
    (perSecond * kvCopies * kvBytesPerToken(config, bytesPerActivation) * kvLength) / tokensPerKvRead;
  const bytesPerSecond = weightBytesPerSecond + activationBytesPerSecond + kvBytesPerSecond;
  return {
    flopsPerSecond,
    weightBytesPerSecond,
    activationBytesPerSecond,
    kvBytesPerSecond,
    bytesPerSecond,
    intensity: flopsPerSecond / bytesPerSecond,
    tokensPerMsPerTpGroup: tokensPerMsPerGpu * pp * tp,
    expertRowsPerMs: tokensPerMsPerGpu * pp * config.topK,
  };
}

/**
 * Elements that one token moves through memory in all layers and all GPUs, each operation's inputs and outputs once
 * (attention's keys and values apart). Under TP every rank of a group reads the whole row for q, k, v and writes a
 * whole row of partial sums after o. Per layer:
 *   norm 2 D; q, k, v: tp D + (Hq + 2 Hkv) Dh; rope 2 (Hq + Hkv) Dh; attention 2 Hq Dh; o: Hq Dh + tp D; residual 3 D;
 *   norm 2 D; router D + E; permute D + K D; w1 and w3: K D + 2 K F; activation 3 K F; w2: K F + K D;
 *   combine and residual: K D + 2 D.
 * Around them the embedding 2 D, the last norm 2 D and lm_head D + V.
 */
export function activationElements(config: MoeConfig, tp: number): number {
  const { modelDim: d, expertDim: f, topK: k, numExperts } = config;
  const q = config.numHeads * config.headDim;
  const kv = config.numKvHeads * config.headDim;
  const attention = 2 * d + (tp * d + q + 2 * kv) + 2 * (q + kv) + 2 * q + (q + tp * d) + 3 * d;
  const experts =
    2 * d +
    (d + numExperts) +
    (d + k * d) +
    (k * d + 2 * k * f) +
    3 * k * f +
    (k * f + k * d) +
    (k * d + 2 * d);
  return config.numLayers * (attention + experts) + 5 * d + config.vocabSize;
}
