/** The compiled kernels of one rank's layer. All ranks of a layout have equal shapes, so one set serves all. */
import { prepareAttention, splitsKeys, type Attention } from '../../kernels/attention/attention.ts';
import type { AttentionShape } from '../../kernels/attention/variants.ts';
import { type GatedUnit, type GatedUnitShape, prepareGatedUnit } from '../../kernels/dense/gated-unit.ts';
import { prepareGemm, type Gemm } from '../../kernels/dense/gemm.ts';
import { prepareQkNorm, type QkNorm } from '../../kernels/dense/qk-norm.ts';
import type { RoutedShape } from '../../kernels/experts/products.ts';
import { prepareRmsNorm, type RmsNorm } from '../../kernels/dense/rms-norm.ts';
import { prepareRouter, type Router } from '../../kernels/routing/router.ts';
import { prepareRopeAppend, type RopeAppend } from '../../kernels/attention/rope.ts';
import { prepareSized, type Sized } from '../../kernels/sized.ts';
import { type AdmissionKernels, prepareAdmission } from '../admission.ts';
import { type Add, prepareAdd } from '../../kernels/routing/rows.ts';
import type { AttentionTraits, MoeConfig } from '../../model/config.ts';
import type { WeightDtypes } from '../../model/stored-weights.ts';
import type { Transport } from '../../collectives/transport.ts';
import { ConfigError, invariant } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import { type ExchangedExperts, prepareExchangedExperts } from '../../routed/exchanged.ts';
import { type LocalExperts, prepareLocalExperts } from '../../routed/local.ts';
import type { EnginePlan } from '../../memory/engine-plan.ts';
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

/** Attention for a token of each sequence, and for many. */
export interface AttentionKernels {
  readonly decode: Attention;
  readonly prefill: Attention;
}

export interface LayerKernels {
  readonly norm: RmsNorm;
  readonly normResidual: RmsNorm;
  readonly ropeAppend: RopeAppend;
  /** Of a model that normalises or clamps queries and keys. */
  readonly qkNorm: QkNorm | undefined;
  /** By window; 0 sees all. */
  readonly attention: ReadonlyMap<number, AttentionKernels>;
  /** Of a model with shared experts, and with layers without routing. */
  readonly shared: GatedUnit | undefined;
  readonly dense: GatedUnit | undefined;
  readonly add: Add | undefined;
  readonly products: Sized<DenseKernels>;
  /** Of an engine whose choices are given slots, and whose bias follows the load. */
  readonly admission: AdmissionKernels | undefined;
  /** Of a rank that owns all experts (EP = 1), or of ranks that exchange their rows. */
  readonly experts: { readonly local: LocalExperts } | { readonly exchanged: ExchangedExperts };
}

export async function prepareLayer(
  gpu: Gpu,
  { layout, sizes: z, dtypes, admission: admits }: EnginePlan,
  transport: Transport,
): Promise<LayerKernels> {
  const { model } = layout;
  const { modelDim, headDim, numHeads, numKvHeads } = z;
  const width = { width: modelDim, eps: model.rmsEps };
  const [
    norm,
    normResidual,
    ropeAppend,
    qkNorm,
    experts,
    attention,
    products,
    shared,
    dense,
    add,
    admission,
  ] = await Promise.all([
    prepareRmsNorm(gpu, { ...width, residual: false }),
    prepareRmsNorm(gpu, { ...width, residual: true }),
    prepareRopeAppend(gpu, { numHeads, numKvHeads, headDim, kvDtype: z.cacheDtype }),
    prepareHeads(gpu, layout, z),
    prepareExperts(gpu, layout, z, dtypes, transport),
    prepareWindows(gpu, model, z),
    prepareSized((rows) => prepareDense(gpu, layout, z, dtypes, rows)),
    model.shared && prepareGatedUnit(gpu, unitShape(model, dtypes, model.shared.dim, model.shared.gated)),
    model.dense && prepareGatedUnit(gpu, unitShape(model, dtypes, model.dense.dim, false)),
    model.shared || model.dense ? prepareAdd(gpu) : undefined,
    admits && prepareAdmission(gpu, z, admits, model.router?.score ?? 'softmax'),
  ]);
  const { tileRows } = 'local' in experts ? experts.local : experts.exchanged;
  const refusal = tilesRefusal(z, tileRows, gpu.limits.maxComputeWorkgroupsPerDimension);
  if (refusal !== undefined) throw new ConfigError(refusal);
  return {
    norm,
    normResidual,
    ropeAppend,
    qkNorm,
    attention,
    products,
    experts,
    shared,
    dense,
    add,
    admission,
  };
}

function unitShape(model: MoeConfig, dtypes: WeightDtypes, width: number, scaled: boolean): GatedUnitShape {
  const { modelDim, activation } = model;
  if (activation === 'swiglu_oai') {
    throw new ConfigError(`${model.name} has plain units with the clamped SwiGLU, which only experts have.`);
  }
  return { modelDim, width, activation, upDtype: dtypes.units, downDtype: dtypes.units, scaled };
}

function prepareHeads(gpu: Gpu, { model, spec }: Layout, z: RankSizes): Promise<QkNorm> | undefined {
  const { qkNorm, clip } = model.attention ?? {};
  if (qkNorm === undefined && clip === undefined) return undefined;
  const { numHeads, numKvHeads, headDim } = z;
  return prepareQkNorm(gpu, {
    ...{ numHeads, numKvHeads, headDim, eps: model.rmsEps, clip },
    over: qkNorm ?? 'none',
    all: { numHeads: model.numHeads, numKvHeads: model.numKvHeads },
    keyCopies: (spec.tp * numKvHeads) / model.numKvHeads,
  });
}

async function prepareWindows(
  gpu: Gpu,
  { attention = {} }: MoeConfig,
  z: RankSizes,
): Promise<ReadonlyMap<number, AttentionKernels>> {
  const windows = [...new Set(attention.windows ?? [0])];
  const made = windows.map(async (window): Promise<[number, AttentionKernels]> => {
    const [decode, prefill] = await Promise.all(
      [1, MANY_QUERIES].map((queries) =>
        prepareAttention(gpu, { ...attentionShape(z, queries, attention), ...(window > 0 && { window }) }),
      ),
    );
    invariant(decode !== undefined && prefill !== undefined, () => 'two were prepared');
    return [window, { decode, prefill }];
  });
  return new Map(await Promise.all(made));
}

async function prepareExperts(
  gpu: Gpu,
  { model, spec }: Layout,
  z: RankSizes,
  dtypes: WeightDtypes,
  transport: Transport,
): Promise<LayerKernels['experts']> {
  const { numSlots: numExperts, topK, modelDim, expertDim, localExperts, owners, receiveRows } = z;
  const { expertBias: biased = false, clamp, activation } = model;
  const shape: RoutedShape = {
    ...{ numExperts, topK, modelDim, expertDim, gated: true, activation },
    ...{ upDtype: dtypes.experts, downDtype: dtypes.experts, residual: true },
    ...(biased && { upBiased: true, downBiased: true }),
    ...(clamp && { clamp }),
  };
  if (spec.ep === 1) return { local: await prepareLocalExperts(gpu, shape, { upTo: z.shareTokens }) };
  const owned = { ...shape, localExperts, owners, receiveRows };
  return { exchanged: await prepareExchangedExperts(gpu, owned, transport) };
}

function attentionShape(z: KeySizes, queries: number, traits: AttentionTraits = {}): AttentionShape {
  const { numHeads, numKvHeads, headDim, maxLength, cacheSlots, cacheDtype } = z;
  const { scale = 1 / Math.sqrt(headDim), softcap, sinks } = traits;
  return {
    ...{ numHeads, numKvHeads, headDim, causal: true, scale },
    ...{ cacheLength: maxLength, queries, numSequences: cacheSlots, kvDtype: cacheDtype },
    ...(softcap !== undefined && { softcap }),
    ...(sinks && { sinks }),
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
  dtypes: WeightDtypes,
  rows: number,
): Promise<DenseKernels> {
  const { modelDim, headDim, numHeads, numKvHeads, numExperts, topK } = z;
  const { attention = {}, router: routing = {}, renormalize } = layout.model;
  const weightDtype = dtypes.attention;
  const { score = 'softmax', scale, groups, bias: logitBias, correction: biased } = routing;
  const [qkv, out, router] = await Promise.all([
    prepareGemm(gpu, {
      numRows: rows,
      numCols: (numHeads + 2 * numKvHeads) * headDim,
      depth: modelDim,
      weightDtype,
      ...(attention.bias && { biased: true }),
    }),
    prepareGemm(gpu, {
      ...{ numRows: rows, numCols: modelDim, depth: numHeads * headDim, weightDtype },
      ...(attention.outBias && { biased: true }),
    }),
    prepareRouter(gpu, {
      ...{ numTokens: rows, numExperts, topK, modelDim, weightDtype: dtypes.gate },
      ...{ score, renormalize },
      ...(scale !== undefined && { scale }),
      ...(groups && { groups }),
      ...(logitBias && { logitBias }),
      ...((biased || z.admission?.balances) && { biased: true }),
      ...(z.admission?.asks && { keepsLogits: true }),
    }),
  ]);
  return { qkv, out, router };
}
