/**
 * The public API of Moebius in Node. The verbs are the commands' own functions: they take plain options and give
 * the objects that `--json` prints. Below them are the parts they are built from.
 */

// The verbs.
export { accuracy, type AccuracyOptions, type AccuracyReport } from './cli/verbs/plan/accuracy.ts';
export { bench, type BenchOptions } from './cli/verbs/bench.ts';
export { check, type CheckOptions, type CheckReport } from './cli/verbs/check.ts';
export { compare as compareResults, type CompareOptions } from './cli/verbs/compare.ts';
export { claims, type ClaimsOptions } from './cli/verbs/plan/claims.ts';
export { doctor, type DoctorOptions } from './cli/verbs/doctor.ts';
export { exportRows, type ExportOptions } from './cli/verbs/export.ts';
export { generate, type GenerateOptions, type GenerateResult } from './cli/verbs/generate.ts';
export { growth, type GrowthOptions, type GrowthReport } from './cli/verbs/growth.ts';
export { layout, type LayoutOptions, type LayoutResult } from './cli/verbs/layout.ts';
export { op, type OpOptions, type OpResult } from './cli/verbs/op.ts';
export { profile, type ProfileReport, type ProfileVerbOptions } from './cli/verbs/profile.ts';
export { project, type ProjectOptions, type ProjectReport } from './cli/verbs/plan/project.ts';
export { report, type ReportOptions } from './cli/verbs/report.ts';
export {
  routingQuality,
  type QualityRow,
  type RoutingQuality,
  type RoutingQualityOptions,
} from './cli/verbs/routing/quality.ts';
export {
  routingBalancers,
  type RoutingBalancers,
  type RoutingBalancersOptions,
} from './cli/verbs/routing/balancers.ts';
export { routingCost, type RoutingCost, type RoutingCostOptions } from './cli/verbs/routing/cost.ts';
export { routing, type RoutingOptions, type RoutingReport } from './cli/verbs/routing/routing.ts';
export { search, type SearchOptions } from './cli/verbs/plan/search.ts';
export type { SearchReport } from './planner/search/search.ts';
export { tune, type TuneResult, type TuneVerbOptions } from './cli/verbs/tune.ts';
export { loadTuning } from './cli/tuning.ts';
export { validate, type ValidateOptions } from './cli/verbs/validate.ts';

// The machine: adapters through Dawn's bindings, files, clocks.
export { nodePlatform } from './platform/node/node.ts';

export * from './portable.ts';
