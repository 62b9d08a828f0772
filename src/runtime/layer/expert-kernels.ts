/** The compiled kernels of the half of a layer behind attention: norm, router, admission, shared and routed experts. */
import type { Transport } from '../../collectives/transport.ts';
import { ConfigError } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { type GatedUnit, type GatedUnitShape, prepareGatedUnit } from '../../kernels/dense/gated-unit.ts';
import { prepareRmsNorm, type RmsNorm } from '../../kernels/dense/rms-norm.ts';
import type { RoutedShape } from '../../kernels/experts/products.ts';
import { prepareRouter, type Router } from '../../kernels/routing/router.ts';
import { type Add, prepareAdd } from '../../kernels/routing/rows.ts';
import { prepareSized, type Sized } from '../../kernels/sized.ts';
import type { Layout } from '../../layout/layout.ts';
import type { EnginePlan } from '../../memory/engine-plan.ts';
import { type RankSizes, tilesRefusal } from '../../memory/rank-sizes.ts';
import type { MoeConfig } from '../../model/config.ts';
import type { WeightDtypes, WeightKind } from '../../model/stored-weights.ts';
import { type ExchangedExperts, prepareExchangedExperts } from '../../routed/exchanged.ts';
import { type LocalExperts, prepareLocalExperts } from '../../routed/local.ts';
import { type AdmissionKernels, prepareAdmission } from '../admission.ts';

export interface ExpertKernels {
  readonly normResidual: RmsNorm;
  /** By how many rows there are. */
  readonly routers: Sized<Router>;
  /** Of a model with shared experts, and with layers without routing. */
  readonly shared: GatedUnit | undefined;
  readonly dense: GatedUnit | undefined;
  readonly add: Add | undefined;
  /** Of an engine whose choices are given slots, and whose bias follows the load. */
  readonly admission: AdmissionKernels | undefined;
  /** Of a rank that owns all experts (EP = 1), or of ranks that exchange their rows. */
  readonly experts: { readonly local: LocalExperts } | { readonly exchanged: ExchangedExperts };
}

export const NO_KINDS: ReadonlySet<WeightKind> = new Set();

/** @param wide see `prepareLayer`. @throws ConfigError for a layer that this device cannot run. */
export async function prepareExpertHalf(
  gpu: Gpu,
  { layout, sizes: z, dtypes, admission: admits }: EnginePlan,
  transport: Transport,
  wide = NO_KINDS,
): Promise<ExpertKernels> {
  const { model } = layout;
  const stored = { dtypes, wide };
  const [normResidual, experts, routers, shared, dense, add, admission] = await Promise.all([
    prepareRmsNorm(gpu, { width: z.modelDim, eps: model.rmsEps, residual: true }),
    prepareExperts(gpu, layout, z, stored, transport),
    prepareSized((rows) => prepareRouterFor(gpu, model, z, dtypes, rows)),
    model.shared && prepareGatedUnit(gpu, unitShape(model, stored, model.shared.dim, model.shared.gated)),
    model.dense && prepareGatedUnit(gpu, unitShape(model, stored, model.dense.dim, false)),
    model.shared || model.dense ? prepareAdd(gpu) : undefined,
    admits && prepareAdmission(gpu, z, admits, model.router?.score ?? 'softmax'),
  ]);
  const { tileRows } = 'local' in experts ? experts.local : experts.exchanged;
  const refusal = tilesRefusal(z, tileRows, gpu.limits.maxComputeWorkgroupsPerDimension);
  if (refusal !== undefined) throw new ConfigError(refusal);
  return { normResidual, routers, shared, dense, add, admission, experts };
}

/** How a layer's matrices are stored, and which kinds have scales at the ends of f32. */
interface Stored {
  readonly dtypes: WeightDtypes;
  readonly wide: ReadonlySet<WeightKind>;
}

function unitShape(
  model: MoeConfig,
  { dtypes, wide }: Stored,
  width: number,
  scaled: boolean,
): GatedUnitShape {
  const { modelDim, activation } = model;
  if (activation === 'swiglu_oai') {
    throw new ConfigError(`${model.name} has plain units with the clamped SwiGLU, which only experts have.`);
  }
  return {
    ...{ modelDim, width, activation, upDtype: dtypes.units, downDtype: dtypes.units, scaled },
    wide: wide.has('units'),
  };
}

async function prepareExperts(
  gpu: Gpu,
  { model, spec }: Layout,
  z: RankSizes,
  { dtypes, wide }: Stored,
  transport: Transport,
): Promise<ExpertKernels['experts']> {
  const { numSlots: numExperts, topK, modelDim, expertDim, localExperts, owners, receiveRows } = z;
  const { expertBias: biased = false, clamp, activation } = model;
  const shape: RoutedShape = {
    ...{ numExperts, topK, modelDim, expertDim, gated: true, activation },
    ...{ upDtype: dtypes.experts, downDtype: dtypes.experts, residual: true },
    ...(biased && { upBiased: true, downBiased: true }),
    ...(wide.has('experts') && { upWide: true, downWide: true }),
    ...(clamp && { clamp }),
  };
  if (spec.ep === 1) return { local: await prepareLocalExperts(gpu, shape, { upTo: z.shareTokens }) };
  const owned = { ...shape, localExperts, owners, receiveRows };
  return { exchanged: await prepareExchangedExperts(gpu, owned, transport) };
}

function prepareRouterFor(
  gpu: Gpu,
  { router = {}, renormalize }: MoeConfig,
  { modelDim, numExperts, topK, admission }: RankSizes,
  dtypes: WeightDtypes,
  rows: number,
): Promise<Router> {
  const { score = 'softmax', scale, groups, bias: logitBias, correction: biased } = router;
  return prepareRouter(gpu, {
    ...{ numTokens: rows, numExperts, topK, modelDim, weightDtype: dtypes.gate },
    ...{ score, renormalize },
    ...(scale !== undefined && { scale }),
    ...(groups && { groups }),
    ...(logitBias && { logitBias }),
    ...((biased || admission?.balances) && { biased: true }),
    ...(admission?.asks && { keepsLogits: true }),
  });
}
