/** The compiled kernels of one rank's layer. All ranks of a layout have equal shapes, so one set serves all. */
import { prepareAttention, splitsKeys, type Attention } from '../../kernels/attention/attention.ts';
import type { AttentionShape } from '../../kernels/attention/variants.ts';
import { prepareGemm, type Gemm } from '../../kernels/dense/gemm.ts';
import { prepareQkNorm, type QkNorm } from '../../kernels/dense/qk-norm.ts';
import { prepareRmsNorm, type RmsNorm } from '../../kernels/dense/rms-norm.ts';
import { prepareRopeAppend, type RopeAppend } from '../../kernels/attention/rope.ts';
import { prepareSized, type Sized } from '../../kernels/sized.ts';
import type { AttentionTraits, MoeConfig } from '../../model/config.ts';
import type { WeightDtypes, WeightKind } from '../../model/stored-weights.ts';
import type { Transport } from '../../collectives/transport.ts';
import { invariant } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import type { EnginePlan } from '../../memory/engine-plan.ts';
import type { DeviceTraits, KeySizes } from '../../memory/device-traits.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import { type ExpertKernels, NO_KINDS, prepareExpertHalf } from './expert-kernels.ts';

/** Queries that attention over whole prompts is chosen for. A guess. */
const MANY_QUERIES = 64;

/** Kernels whose best variant depends on how many rows there are. */
export interface DenseKernels {
  readonly qkv: Gemm;
  readonly out: Gemm;
}

/** Attention for a token of each sequence, and for many. */
export interface AttentionKernels {
  readonly decode: Attention;
  readonly prefill: Attention;
}

export interface LayerKernels extends ExpertKernels {
  readonly norm: RmsNorm;
  readonly ropeAppend: RopeAppend;
  /** Of a model that normalises or clamps queries and keys. */
  readonly qkNorm: QkNorm | undefined;
  /** By window; 0 sees all. */
  readonly attention: ReadonlyMap<number, AttentionKernels>;
  readonly products: Sized<DenseKernels>;
}

/** @param wide kinds of matrices whose scales lie at the ends of f32: see `WeightStore.wideKinds`. */
export async function prepareLayer(
  gpu: Gpu,
  plan: EnginePlan,
  transport: Transport,
  wide: ReadonlySet<WeightKind> = NO_KINDS,
): Promise<LayerKernels> {
  const { layout, sizes: z, dtypes } = plan;
  const { model } = layout;
  const { headDim, numHeads, numKvHeads } = z;
  const [norm, ropeAppend, qkNorm, ofExperts, attention, products] = await Promise.all([
    prepareRmsNorm(gpu, { width: z.modelDim, eps: model.rmsEps, residual: false }),
    prepareRopeAppend(gpu, { numHeads, numKvHeads, headDim, kvDtype: z.cacheDtype }),
    prepareHeads(gpu, layout, z),
    prepareExpertHalf(gpu, plan, transport, wide),
    prepareWindows(gpu, model, z),
    prepareSized((rows) => prepareDense(gpu, layout, z, { dtypes, wide }, rows)),
  ]);
  return { ...ofExperts, norm, ropeAppend, qkNorm, attention, products };
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
  { dtypes, wide }: { readonly dtypes: WeightDtypes; readonly wide: ReadonlySet<WeightKind> },
  rows: number,
): Promise<DenseKernels> {
  const { modelDim, headDim, numHeads, numKvHeads } = z;
  const { attention = {} } = layout.model;
  const both = { numRows: rows, weightDtype: dtypes.attention, wide: wide.has('attention') };
  const [qkv, out] = await Promise.all([
    prepareGemm(gpu, {
      ...{ ...both, numCols: (numHeads + 2 * numKvHeads) * headDim, depth: modelDim },
      ...(attention.bias && { biased: true }),
    }),
    prepareGemm(gpu, {
      ...{ ...both, numCols: modelDim, depth: numHeads * headDim },
      ...(attention.outBias && { biased: true }),
    }),
  ]);
  return { qkv, out };
}
