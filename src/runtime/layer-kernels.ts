/** The compiled kernels of one rank's layer. All ranks of a layout have equal shapes, so one set serves all. */
import { prepareAttention, type Attention } from '../kernels/attention.ts';
import { prepareExpertGemm, type ExpertGemm } from '../kernels/experts.ts';
import { prepareGemm, type Gemm } from '../kernels/gemm.ts';
import { prepareRmsNorm, type RmsNorm } from '../kernels/rms-norm.ts';
import { prepareRouter, type Router } from '../kernels/router.ts';
import { prepareRopeAppend, type RopeAppend } from '../kernels/rope.ts';
import {
  prepareReceivePlan,
  prepareRoutePlan,
  type ReceivePlan,
  type RoutePlan,
} from '../kernels/route-plan.ts';
import { prepareCombine, prepareGatherRows, type Combine, type GatherRows } from '../kernels/rows.ts';
import type { WeightDtype } from '../kernels/weights.ts';
import { gateDtype } from '../model/stored-weights.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Layout } from '../layout/layout.ts';
import type { RankSizes } from './sizes.ts';

/** Kernels whose best variant depends on how many rows there are. */
export interface SizedKernels {
  readonly qkv: Gemm;
  readonly out: Gemm;
  readonly router: Router;
  readonly attention: Attention;
  readonly up: ExpertGemm;
  readonly down: ExpertGemm;
  /** Most rows of a tile that both projections can take. */
  readonly tileRows: number;
}

export interface LayerKernels {
  readonly norm: RmsNorm;
  readonly normResidual: RmsNorm;
  readonly ropeAppend: RopeAppend;
  readonly plan: RoutePlan;
  readonly receivePlan: ReceivePlan;
  readonly permute: GatherRows;
  readonly combine: Combine;
  /** For steps of one token per sequence and few rows per expert. */
  readonly few: SizedKernels;
  readonly many: SizedKernels;
}

export async function prepareLayer(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  dtype: WeightDtype,
): Promise<LayerKernels> {
  const { model, spec } = layout;
  const { modelDim, headDim, numHeads, numKvHeads, numExperts, localExperts, topK } = z;
  const width = { width: modelDim, eps: model.rmsEps };
  const [norm, normResidual, ropeAppend, plan, receivePlan, permute, combine, few, many] = await Promise.all([
    prepareRmsNorm(gpu, { ...width, residual: false }),
    prepareRmsNorm(gpu, { ...width, residual: true }),
    prepareRopeAppend(gpu, { numHeads, numKvHeads, headDim }),
    prepareRoutePlan(gpu, { numExperts, topK }),
    prepareReceivePlan(gpu, { numSources: spec.ep, numExperts, localExperts }),
    prepareGatherRows(gpu, { width: modelDim, dtype: 'f32' }),
    prepareCombine(gpu, { width: modelDim, topK, residual: true }),
    prepareSized(gpu, layout, z, dtype, 1),
    prepareSized(gpu, layout, z, dtype, 64),
  ]);
  return { norm, normResidual, ropeAppend, plan, receivePlan, permute, combine, few, many };
}

async function prepareSized(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  weightDtype: WeightDtype,
  rows: number,
): Promise<SizedKernels> {
  const { modelDim, headDim, numHeads, numKvHeads, numExperts, topK, expertDim } = z;
  const expert = { numExperts: z.localExperts, weightDtype, biased: false, rowsPerExpert: rows };
  const [qkv, out, router, attention, up, down] = await Promise.all([
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
    prepareAttention(gpu, {
      numHeads,
      numKvHeads,
      headDim,
      causal: true,
      scale: 1 / Math.sqrt(headDim),
      cacheLength: z.maxLength,
      queries: rows,
    }),
    prepareExpertGemm(gpu, {
      ...expert,
      depth: modelDim,
      numCols: expertDim,
      gated: true,
      activation: layout.model.activation,
    }),
    prepareExpertGemm(gpu, {
      ...expert,
      depth: expertDim,
      numCols: modelDim,
      gated: false,
      activation: 'identity',
    }),
  ]);
  return { qkv, out, router, attention, up, down, tileRows: Math.min(up.tileRows, down.tileRows) };
}
