/** What an adapter is and what its smallest steps cost, measured. */
import { requireGpu } from '../core/given.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { MATRIX_FEATURE, type MatrixUnit } from '../gpu/shader/matrices.ts';
import type { AdapterFacts } from '../platform/platform.ts';
import { hostClockStepNs, measureClockStep, type ClockStep } from '../measure/clock.ts';
import { dispatchFloor, readbackLatency } from '../measure/dispatch-probe.ts';
import type { Summary } from '../measure/statistics.ts';

/** The limits that decide what fits: one binding, one workgroup, one grid. */
export const SHOWN_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'minStorageBufferOffsetAlignment',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
] as const;

/** The features that kernels make use of. */
export const SHOWN_FEATURES: readonly GPUFeatureName[] = [
  'timestamp-query',
  'shader-f16',
  'subgroups',
  MATRIX_FEATURE,
];

/**
 * What an adapter is, and what its smallest steps cost: host times in ns, of a readback of 4 bytes and of an empty
 * dispatch.
 */
export interface AdapterExamination {
  readonly facts: AdapterFacts;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: Readonly<Record<string, boolean>>;
  /** What a subgroup multiplies in one step, as the adapter lists it: M, N, K and types; absent without the feature. */
  readonly matrixUnits?: readonly MatrixUnit[];
  /** Undefined without timestamps, or when they never move. */
  readonly gpuClock: ClockStep | undefined;
  readonly hostClockStepNs: number;
  readonly readbackNs: Summary;
  readonly dispatchFloorNs: Summary;
  /** The same for a dispatch whose grid lies in a buffer. */
  readonly indirectFloorNs: Summary;
}

/** Measures the clock's step, readback and dispatch of an open adapter, and lists its limits and features. */
export async function examineAdapter(gpu: Gpu): Promise<AdapterExamination> {
  requireGpu(gpu);
  return {
    facts: gpu.facts,
    limits: Object.fromEntries(SHOWN_LIMITS.map((name) => [name, gpu.limits[name]])),
    features: Object.fromEntries(SHOWN_FEATURES.map((name) => [name, gpu.has(name)])),
    ...(gpu.matrixUnits.length > 0 && { matrixUnits: gpu.matrixUnits }),
    gpuClock: await measureClockStep(gpu),
    hostClockStepNs: hostClockStepNs(() => gpu.platform.now()),
    readbackNs: await readbackLatency(gpu),
    dispatchFloorNs: await dispatchFloor(gpu),
    indirectFloorNs: await dispatchFloor(gpu, 'indirect'),
  };
}
