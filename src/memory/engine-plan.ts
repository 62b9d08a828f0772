/** An engine before there is a device: the sizes that its limits come to. */
import { ceilDiv } from '../core/math.ts';
import type { Layout } from '../layout/layout.ts';
import { dtypesOf, type WeightDtypes } from '../model/stored-weights.ts';
import type { WeightDtype } from '../tensor/quantised.ts';
import type { DeviceTraits } from './device-traits.ts';
import {
  type CacheDtype,
  defaultMicroBatches,
  rankSizes,
  type RankSizes,
  worthwhileMicroBatches,
} from './rank-sizes.ts';

/** The options of an engine that decide how much memory it takes. */
export interface EngineSizing {
  /** Sequences that are alive at once, over all replicas. */
  readonly maxSequences: number;
  /** Positions of one sequence. */
  readonly maxLength: number;
  /** New tokens of one sequence in one step; `maxLength` by default. */
  readonly maxStepTokens?: number;
  /** How matrices are stored on the device; sums are f32 in any case. f32 by default. */
  readonly weightDtype?: WeightDtype;
  /** What each kind of matrix is stored in, where not all in `weightDtype`: see `storedDtypes`. */
  readonly dtypes?: WeightDtypes;
  /** How keys and values are stored; f32 by default. */
  readonly cacheDtype?: CacheDtype;
  /**
   * Ranks of an EP group, neighbours, whose experts one grouped GEMM may serve. By default as many as can be bound;
   * 1 dispatches each rank's by itself, as on a cluster, at the cost of a dispatch per rank without rows.
   */
  readonly mostOwners?: number;
  /** Micro-batches of a step; by default one per stage, as far as sequences and tokens make them worthwhile. */
  readonly microBatches?: number;
}

export interface EnginePlan {
  readonly layout: Layout;
  readonly sizes: RankSizes;
  readonly weightDtype: WeightDtype;
  readonly dtypes: WeightDtypes;
  /** Micro-batches whose tables exist from the start. */
  readonly microBatches: number;
}

/**
 * @param device the largest buffer that it binds decides how many ranks' experts lie in one stack.
 * @throws ConfigError for limits that do not fit the model.
 */
export function planEngine(
  layout: Layout,
  sizing: EngineSizing,
  device: Pick<DeviceTraits, 'bindableBytes'>,
): EnginePlan {
  const { maxSequences, maxLength, maxStepTokens = maxLength, dtypes } = sizing;
  const weightDtype = dtypes?.experts ?? sizing.weightDtype ?? 'f32';
  const slots = ceilDiv(maxSequences, layout.attnDp);
  const microBatches =
    sizing.microBatches ?? worthwhileMicroBatches(defaultMicroBatches(layout, slots), slots * maxStepTokens);
  const maxTokens = maxStepTokens * ceilDiv(slots, microBatches);
  const limits = { maxSequences, maxLength, maxTokens };
  const sizes = rankSizes(layout, limits, {
    ...sizing,
    weightDtype,
    bindableBytes: device.bindableBytes,
  });
  return { layout, sizes, weightDtype, dtypes: dtypes ?? dtypesOf(weightDtype), microBatches };
}
