/** The compiled kernels of one rank's layer. All ranks of a layout have equal shapes, so one set serves all. */
import {
  attentionScratchWords,
  prepareAttention,
  type Attention,
} from '../../kernels/attention/attention.ts';
import type { AttentionShape } from '../../kernels/attention/variants.ts';
import { prepareDirectExperts, type DirectExperts, directPays } from '../../kernels/experts/direct.ts';
import { prepareExpertGemm, type ExpertGemm, type ExpertShape } from '../../kernels/experts/experts.ts';
import { prepareGemm, type Gemm } from '../../kernels/dense/gemm.ts';
import { prepareLocalPlan, type LocalPlan } from '../../kernels/routing/local-plan.ts';
import { prepareRmsNorm, type RmsNorm } from '../../kernels/dense/rms-norm.ts';
import { prepareRouter, type Router } from '../../kernels/routing/router.ts';
import { prepareRopeAppend, type RopeAppend } from '../../kernels/attention/rope.ts';
import {
  prepareReceivePlan,
  prepareRoutePlan,
  type ReceivePlan,
  type RoutePlan,
} from '../../kernels/routing/route-plan.ts';
import {
  prepareCombine,
  prepareGatherRows,
  type Combine,
  type GatherRows,
} from '../../kernels/routing/rows.ts';
import type { WeightDtype } from '../../kernels/weights.ts';
import { gateDtype } from '../../model/stored-weights.ts';
import { ConfigError } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import { tilesRefusal, type RankSizes } from '../sizes.ts';

/** Rows that the kernels for a few, some and many are chosen for. */
const FEW_ROWS = 2;
const SOME_ROWS = 8;
const MANY_ROWS = 64;

/** Kernels whose best variant depends on how many rows there are. */
export interface SizedKernels {
  readonly qkv: Gemm;
  readonly out: Gemm;
  readonly router: Router;
  readonly up: ExpertGemm;
  readonly down: ExpertGemm;
  /** Most rows of a tile that both projections can take. */
  readonly tileRows: number;
}

/** Between router and grouped GEMM where experts lie on several ranks. */
export interface ExchangeKernels {
  readonly plan: RoutePlan;
  readonly permute: GatherRows;
  readonly receivePlan: ReceivePlan;
}

/** The same where a rank owns all experts: nothing is sent, and rows are read where they are. */
export interface LocalKernels {
  readonly plan: LocalPlan;
  readonly direct: DirectExperts;
  /** Whether so few tokens go without a plan. */
  goesDirect(numTokens: number): boolean;
}

export interface LayerKernels {
  readonly norm: RmsNorm;
  readonly normResidual: RmsNorm;
  readonly ropeAppend: RopeAppend;
  /** With EP = 1. */
  readonly local?: LocalKernels | undefined;
  /** With EP > 1. */
  readonly exchange?: ExchangeKernels | undefined;
  readonly combine: Combine;
  /** A token of each sequence, and many. */
  readonly decode: Attention;
  readonly prefill: Attention;
  /** For one row, a few, some and many: of a GEMM, or of an expert. */
  readonly one: SizedKernels;
  readonly few: SizedKernels;
  readonly some: SizedKernels;
  readonly many: SizedKernels;
}

/** The kernels that were prepared for about so many rows. */
export function sizedFor({ one, few, some, many }: LayerKernels, rows: number): SizedKernels {
  if (rows <= 1) return one;
  if (rows <= FEW_ROWS) return few;
  return rows <= 12 ? some : many;
}

export async function prepareLayer(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  dtype: WeightDtype,
): Promise<LayerKernels> {
  const { model, spec } = layout;
  const { modelDim, headDim, numHeads, numKvHeads, topK } = z;
  const width = { width: modelDim, eps: model.rmsEps };
  const alone = spec.ep === 1;
  const [norm, normResidual, ropeAppend, local, exchange, combine, decode, prefill] = await Promise.all([
    prepareRmsNorm(gpu, { ...width, residual: false }),
    prepareRmsNorm(gpu, { ...width, residual: true }),
    prepareRopeAppend(gpu, { numHeads, numKvHeads, headDim, kvDtype: z.cacheDtype }),
    alone ? prepareLocal(gpu, layout, z, dtype) : undefined,
    alone ? undefined : prepareExchange(gpu, layout, z),
    prepareCombine(gpu, { width: modelDim, topK, residual: true }),
    prepareAttention(gpu, attentionShape(z, 1)),
    prepareAttention(gpu, attentionShape(z, MANY_ROWS)),
  ]);
  const [one, few, some, many] = await Promise.all([
    prepareSized(gpu, layout, z, dtype, 1),
    prepareSized(gpu, layout, z, dtype, FEW_ROWS),
    prepareSized(gpu, layout, z, dtype, SOME_ROWS),
    prepareSized(gpu, layout, z, dtype, MANY_ROWS),
  ]);
  const refusal = tilesRefusal(z, many.tileRows, gpu.limits.maxComputeWorkgroupsPerDimension);
  if (refusal !== undefined) throw new ConfigError(refusal);
  return {
    ...{ norm, normResidual, ropeAppend, local, exchange, combine, decode, prefill },
    ...{ one, few, some, many },
  };
}

async function prepareExchange(
  gpu: Gpu,
  { spec }: Layout,
  { numExperts, localExperts, owners, topK, modelDim }: RankSizes,
): Promise<ExchangeKernels> {
  const [plan, permute, receivePlan] = await Promise.all([
    prepareRoutePlan(gpu, { numExperts, topK }),
    prepareGatherRows(gpu, { width: modelDim, dtype: 'f32' }),
    prepareReceivePlan(gpu, { numSources: spec.ep, numExperts, localExperts, numOwners: owners }),
  ]);
  return { plan, permute, receivePlan };
}

async function prepareLocal(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  dtype: WeightDtype,
): Promise<LocalKernels> {
  const shape = { ...expertShapes(layout, z, dtype, 1), topK: z.topK, residual: true };
  const [plan, direct] = await Promise.all([prepareLocalPlan(gpu, z), prepareDirectExperts(gpu, shape)]);
  return { plan, direct, goesDirect: (numTokens) => directPays(shape, numTokens) };
}

/** The two products of an expert. A rank that owns all experts reads rows where the router found them. */
function expertShapes(
  { model, spec }: Layout,
  z: RankSizes,
  weightDtype: WeightDtype,
  rowsPerExpert: number,
): { up: ExpertShape; down: ExpertShape } {
  const both = { numExperts: z.owners * z.localExperts, weightDtype, biased: false, rowsPerExpert };
  return {
    up: {
      ...{ ...both, depth: z.modelDim, numCols: z.expertDim, gated: true, gather: spec.ep === 1 },
      activation: model.activation,
    },
    down: { ...both, depth: z.expertDim, numCols: z.modelDim, gated: false, activation: 'identity' },
  };
}

function attentionShape(z: RankSizes, queries: number): AttentionShape {
  const { numHeads, numKvHeads, headDim, maxLength, cacheSlots, cacheDtype } = z;
  return {
    ...{ numHeads, numKvHeads, headDim, causal: true, scale: 1 / Math.sqrt(headDim) },
    ...{ cacheLength: maxLength, queries, numSequences: cacheSlots, kvDtype: cacheDtype },
  };
}

/** What attention keeps between its dispatches, one token per sequence: one buffer for all ranks, which take turns. */
export function attentionScratchBytes(gpu: Gpu, z: RankSizes): number {
  return 4 * attentionScratchWords(gpu, attentionShape(z, 1), z.cacheSlots);
}

async function prepareSized(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  weightDtype: WeightDtype,
  rows: number,
): Promise<SizedKernels> {
  const { modelDim, headDim, numHeads, numKvHeads, numExperts, topK } = z;
  const experts = expertShapes(layout, z, weightDtype, rows);
  const [qkv, out, router, up, down] = await Promise.all([
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
    prepareExpertGemm(gpu, experts.up),
    prepareExpertGemm(gpu, experts.down),
  ]);
  return { qkv, out, router, up, down, tileRows: Math.min(up.tileRows, down.tileRows) };
}
