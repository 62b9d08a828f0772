/** What a command list needs of the device it is recorded for. */
import type { BindGroupCache } from './bind-groups.ts';
import type { DeviceState } from './device-state.ts';
import type { KernelDefinition } from './kernel.ts';
import type { MemoryLedger } from './ledger.ts';
import type { ParamArena } from './param-arena.ts';
import type { QueryPool } from './query-pool.ts';
import type { CompiledKernel } from './shader/pipeline-cache.ts';

/** A kernel compiled for this device: ready to be recorded. */
export interface Kernel<D extends KernelDefinition = KernelDefinition> {
  readonly definition: D;
  readonly spec: D['spec'];
  readonly compiled: CompiledKernel;
}

export interface DeviceContext {
  readonly device: GPUDevice;
  readonly limits: GPUSupportedLimits;
  readonly bindGroups: BindGroupCache;
  readonly params: ParamArena;
  readonly state: DeviceState;
  readonly ledger: MemoryLedger;
  readonly queries: QueryPool;
  /** Of whoever this work is done for: nothing is recorded, submitted or waited for once it was aborted. */
  readonly signal: AbortSignal | undefined;
  has(feature: GPUFeatureName): boolean;
  /** The host's clock, ns. */
  now(): number;
}
