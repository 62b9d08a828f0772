/**
 * The public API that is the same in Node and in a page; `index.ts` adds the verbs and the platform of Node, `web.ts`
 * that of a page.
 */

/// <reference types="@webgpu/types" preserve="true" />

// Failures: the caller's mistake, a result that is wrong, our own fault.
export {
  AbsentFileError,
  CancelledError,
  CheckError,
  ConfigError,
  DeviceError,
  InvariantError,
} from './core/errors.ts';

// The adapter and the device.
export type { AdapterChoice, AdapterFacts, AdapterKind, KernelKind, Platform } from './platform/platform.ts';
export { Gpu, openGpu } from './gpu/gpu.ts';
export type { Peak } from './core/peak.ts';

// Tensors, models, layouts.
export { castFloat, f32Tensor, tensor, toF32, toF64, type Dtype, type Tensor } from './tensor/tensor.ts';
export { compare, describe, type Budget, type Comparison } from './tensor/compare.ts';
export { quantise } from './tensor/quantise.ts';
export {
  dequantise,
  type HostWeight,
  type QuantFormat,
  type QuantisedMatrix,
  type WeightDtype,
} from './tensor/quantised.ts';
export { readSafetensors, writeSafetensors } from './model/safetensors/safetensors.ts';
export { loadCheckpoint, openCheckpoint, type Checkpoint, type OpenCheckpoint } from './model/checkpoint.ts';
export { syntheticWeights } from './model/synthetic.ts';
export { storedDtypes, storedValues } from './model/stored-weights.ts';
export { presetNamed, presets } from './model/presets.ts';
export type { MoeConfig, WeightSource } from './model/config.ts';
export { flopsPerToken, kvBytesPerToken, parameters, weightBytes } from './model/cost.ts';
export { targetNeeds, type TargetLayout, type TargetNeeds } from './model/target.ts';
export { CARD_LAYOUT, formatLayout, parseLayout, type LayoutSpec } from './layout/spec.ts';
export { planLayout, type Layout } from './layout/layout.ts';
export { explainLayout, type LayoutExplanation } from './layout/explain.ts';
export { renderExplanation } from './layout/render.ts';

// The planner: costs of models, and a strategy's statements held against formulas.
export { modelNamed } from './planner/models/named.ts';
export { countsOf, type ModelCounts, type ModelFacts } from './planner/models/facts.ts';
export { CARD_STRATEGY } from './planner/claims/card.ts';
export { evaluateClaims, type ClaimResult, type ClaimsReport } from './planner/claims/evaluate.ts';
export type { Claim, Strategy } from './planner/claims/strategy.ts';

// Routing under load: who takes which row, exactly, without a device.
export { contiguousPlacement, type ExpertPlacement, placementOf } from './routing/placement.ts';
export { admit, admitAll, type Admission, type AdmitOptions } from './routing/admit.ts';
export { capacityOf, type CapacityRule } from './routing/capacity.ts';
export type { Choices } from './routing/choices.ts';
export { type OverflowPolicy, OVERFLOW_POLICIES } from './routing/policies.ts';
export { type Deal, dealTable, type ReplicaShares } from './routing/replicas.ts';
export { DROPPED, planDispatch, type DispatchPlan } from './routing/dispatch-plan.ts';
export { gini, maxOverMean, noiseFloor, paddingWaste, type NoiseFloor } from './routing/load.ts';
export { eplb, eplbGlobal, type EplbSizes } from './routing/balance/eplb.ts';
export { placeExperts, type Placed, type PlacerOptions } from './routing/balance/placer.ts';
export { weightedSplit, type WeightedSplit } from './routing/balance/split.ts';
export { optimalPlacement, type Optimum } from './routing/balance/optimum.ts';
export { planMigration, type Migration, type MigrationCosts } from './routing/balance/migration.ts';
export { updatedBias } from './routing/balance/bias.ts';
export { chooseTopK, generateChoices, parseGenerator, type GeneratorSpec } from './routing/trace/generate.ts';
export { importTraces } from './routing/trace/import.ts';
export { traceFromJson, writeTrace, type RoutingTrace, type TraceLayer } from './routing/trace/trace.ts';

// Ops, and the engine that runs a model on all ranks.
export { inputsOf, opByName, ops, runOp, type RunOpOptions } from './ops/ops.ts';
export { quantisedTensors } from './ops/quantised-inputs.ts';
export type { Op, OpInputs, PreparedOp } from './ops/op.ts';
export {
  createEngine,
  type Engine,
  type EngineOptions,
  type MemoryReport,
  type StepOptions,
  type StepResult,
  type Steps,
} from './runtime/engine.ts';
export type { EngineSizing } from './memory/engine-plan.ts';
export type { Request } from './runtime/step/plan.ts';
export { RoutingRecorder } from './runtime/record-routing.ts';
export type { ExpertLoad } from './runtime/expert-load.ts';
export {
  generate as continuePrompt,
  type GenerateOptions as ContinueOptions,
  type Generation,
} from './runtime/generate.ts';
export { referenceModel, type ReferenceModel } from './reference/forward.ts';

// Kernels of one's own beside those of a family; `moebius/kernels` has what they are made of.
export { defineVariant, type OwnVariant } from './kernels/registered/own-variant.ts';
export { registerVariant } from './kernels/registered/register.ts';

// Checks and measurements.
export { kernelCases, quickCases } from './validate/cases.ts';
export { runCase, runCases, type CaseResult } from './validate/run-case.ts';
export type { ValidateResult } from './bench/validate.ts';
export { checkModel, type ModelReport } from './bench/model/check.ts';
export { chooseClock, measureKernel, type BenchClock } from './measure/stopwatch.ts';
export { measureClockStep } from './measure/clock.ts';
export { measureCeilings, type Ceiling, type Ceilings } from './bench/ceilings/ceilings.ts';
export { rooflineShare, type RooflineShare } from './bench/ceilings/roofline.ts';
export { examineAdapter, type AdapterExamination } from './bench/examine.ts';
export { compareForward, type ForwardComparison } from './bench/model/sharded.ts';
export { summarise, type Summary } from './measure/statistics.ts';
export type { Timing } from './measure/timing.ts';
export type { BenchResult } from './bench/result.ts';
export type { Interruption } from './bench/progress.ts';
export { readResult } from './report/file/result-file.ts';
export type { StoredBenchResult } from './report/file/schema.ts';
export { comparedRun } from './report/file/compared-runs.ts';
export { compareRuns, type ComparedRow, type Comparison as RunComparison } from './compare/compare.ts';
export type { Run as ComparedRun } from './compare/units.ts';
export { tableOf as resultTable, type TableRow } from './report/file/rows.ts';
export { csvOf as tableAsCsv, markdownOf as tableAsMarkdown } from './report/file/export.ts';
export { renderReport } from './report/page.ts';
export type { Report } from './report/html/page.tsx';
