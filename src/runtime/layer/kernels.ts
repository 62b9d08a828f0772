/** The compiled kernels of one rank's layer. All ranks of a layout have equal shapes, so one set serves all. */
import { prepareAttention, splitsKeys, type Attention } from '../../kernels/attention/attention.ts';
import type { AttentionShape } from '../../kernels/attention/variants.ts';
import { prepareGemm, type Gemm } from '../../kernels/dense/gemm.ts';
import type { RoutedShape } from '../../kernels/experts/products.ts';
import { prepareRmsNorm, type RmsNorm } from '../../kernels/dense/rms-norm.ts';
import { prepareRouter, type Router } from '../../kernels/routing/router.ts';
import { prepareRopeAppend, type RopeAppend } from '../../kernels/attention/rope.ts';
import { prepareSized, type Sized } from '../../kernels/sized.ts';
import type { WeightDtype } from '../../kernels/weights.ts';
import { gateDtype } from '../../model/stored-weights.ts';
import type { Transport } from '../../collectives/transport.ts';
import { ConfigError } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import { type ExchangedExperts, prepareExchangedExperts } from '../../routed/exchanged.ts';
import { type LocalExperts, prepareLocalExperts } from '../../routed/local.ts';
import type { DeviceTraits, KeySizes } from '../../memory/device-traits.ts';
import { tilesRefusal, type RankSizes } from '../../memory/rank-sizes.ts';

/** Queries that attention over whole prompts is chosen for. A guess. */
const MANY_QUERIES = 64;

/** Kernels whose best variant depends on how many rows there are. */
export interface DenseKernels {
  readonly qkv: Gemm;
  readonly out: Gemm;
  readonly router: Router;
}

export interface LayerKernels {
  readonly norm: RmsNorm;
  readonly normResidual: RmsNorm;
  readonly ropeAppend: RopeAppend;
  /** A token of each sequence, and many. */
  readonly decode: Attention;
  readonly prefill: Attention;
  readonly dense: Sized<DenseKernels>;
  /** Of a rank that owns all experts (EP = 1), or of ranks that exchange their rows. */
  readonly experts: { readonly local: LocalExperts } | { readonly exchanged: ExchangedExperts };
}

export async function prepareLayer(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  dtype: WeightDtype,
  transport: Transport,
): Promise<LayerKernels> {
  const { modelDim, headDim, numHeads, numKvHeads } = z;
  const width = { width: modelDim, eps: layout.model.rmsEps };
  const [norm, normResidual, ropeAppend, experts, decode, prefill, dense] = await Promise.all([
    prepareRmsNorm(gpu, { ...width, residual: false }),
    prepareRmsNorm(gpu, { ...width, residual: true }),
    prepareRopeAppend(gpu, { numHeads, numKvHeads, headDim, kvDtype: z.cacheDtype }),
    prepareExperts(gpu, layout, z, dtype, transport),
    prepareAttention(gpu, attentionShape(z, 1)),
    prepareAttention(gpu, attentionShape(z, MANY_QUERIES)),
    prepareSized((rows) => prepareDense(gpu, layout, z, dtype, rows)),
  ]);
  const { tileRows } = 'local' in experts ? experts.local : experts.exchanged;
  const refusal = tilesRefusal(z, tileRows, gpu.limits.maxComputeWorkgroupsPerDimension);
  if (refusal !== undefined) throw new ConfigError(refusal);
  return { norm, normResidual, ropeAppend, decode, prefill, dense, experts };
}

async function prepareExperts(
  gpu: Gpu,
  { model, spec }: Layout,
  z: RankSizes,
  dtype: WeightDtype,
  transport: Transport,
): Promise<LayerKernels['experts']> {
  const { numExperts, topK, modelDim, expertDim, localExperts, owners, receiveRows } = z;
  const shape: RoutedShape = {
    ...{ numExperts, topK, modelDim, expertDim, gated: true, activation: model.activation },
    ...{ upDtype: dtype, downDtype: dtype, residual: true },
  };
  if (spec.ep === 1) return { local: await prepareLocalExperts(gpu, shape, { upTo: z.shareTokens }) };
  const owned = { ...shape, localExperts, owners, receiveRows };
  return { exchanged: await prepareExchangedExperts(gpu, owned, transport) };
}

function attentionShape(z: KeySizes, queries: number): AttentionShape {
  const { numHeads, numKvHeads, headDim, maxLength, cacheSlots, cacheDtype } = z;
  return {
    ...{ numHeads, numKvHeads, headDim, causal: true, scale: 1 / Math.sqrt(headDim) },
    ...{ cacheLength: maxLength, queries, numSequences: cacheSlots, kvDtype: cacheDtype },
  };
}

/** This device, as far as it decides the memory of an engine. */
export function traitsOf(gpu: Gpu): DeviceTraits {
  return {
    offsetAlignment: gpu.limits.minStorageBufferOffsetAlignment,
    bindableBytes: gpu.mostBytes('whole'),
    splitsKeys: (z) => splitsKeys(gpu, attentionShape(z, 1)),
  };
}

async function prepareDense(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  weightDtype: WeightDtype,
  rows: number,
): Promise<DenseKernels> {
  const { modelDim, headDim, numHeads, numKvHeads, numExperts, topK } = z;
  const [qkv, out, router] = await Promise.all([
    prepareGemm(gpu, {
      numRows: rows,
      numCols: (numHeads + 2 * numKvHeads) * headDim,
      depth: modelDim,
      weightDtype,
    }),
    prepareGemm(gpu, { numRows: rows, numCols: modelDim, depth: numHeads * headDim, weightDtype }),
    prepareRouter(gpu, {
      ...{ numTokens: rows, numExperts, topK, modelDim, weightDtype: gateDtype(weightDtype) },
      score: 'softmax',
      renormalize: layout.model.renormalize,
    }),
  ]);
  return { qkv, out, router };
}
