/** What the stages of one engine share, and what one micro-batch brings. */
import type { GroupTable } from '../../collectives/groups.ts';
import type { Transport } from '../../collectives/transport.ts';
import type { Bindable, GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { WeightDtype } from '../../kernels/weights.ts';
import type { Layout } from '../../layout/layout.ts';
import type { ExpertKernels } from './expert-kernels.ts';
import type { LayerKernels } from './kernels.ts';
import type { LayerShards } from '../../memory/shards.ts';
import type { EnginePlan } from '../../memory/engine-plan.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import type { MicroBatch, RankLoad } from '../step/plan.ts';
import type { PlacedRows } from '../step/row-places.ts';
import type { StepTables } from '../step/tables.ts';
import type { WeightStore } from '../weight-store.ts';

/** What the half of a layer behind attention needs of it. */
export interface ExpertContext {
  readonly layout: Layout;
  readonly sizes: RankSizes;
  readonly kernels: ExpertKernels;
  readonly transport: Transport;
  /** Where the experts lie, of an engine whose choices are given slots: see `placeWords`. */
  readonly places: GpuBuffer | undefined;
  /** TP and EP groups of a stage, ranks numbered within it. */
  readonly tpGroups: GroupTable;
  readonly epGroups: GroupTable;
}

export interface StageContext extends ExpertContext {
  readonly gpu: Gpu;
  readonly plan: EnginePlan;
  readonly kernels: LayerKernels;
  readonly weightDtype: WeightDtype;
  readonly weights: WeightStore;
  /** cos and sin of every position, see `ropeTable`. */
  readonly ropeTable: GpuBuffer;
  /** Where attention keeps the parts of the keys, when its variant cuts them. */
  readonly attentionScratch?: GpuBuffer | undefined;
}

/** What of a layer's weights attention reads; the rest is of the other half. */
export const ATTENTION_SHARDS = [
  'attentionNorm',
  'qkv',
  'qkvBias',
  'qkNorm',
  'sinks',
  'out',
  'outBias',
] as const satisfies readonly (keyof LayerShards)[];
export type ExpertShards<S> = Omit<LayerShards<S>, (typeof ATTENTION_SHARDS)[number]>;

/** The half of one layer behind attention, on the ranks of its stage. */
export interface ExpertLayer {
  readonly index: number;
  /** The first of its stage that routes. */
  readonly firstRouted: boolean;
  /** Per rank. */
  readonly weights: readonly Readonly<ExpertShards<GpuBuffer>>[];
  /** f32 [E] that the router adds for the choice, and u32 [E] rows of this step so far; of an engine with a balancer. */
  readonly bias?: { readonly bias: GpuBuffer; readonly load: GpuBuffer } | undefined;
}

/** One layer on the ranks of its stage. */
export interface StageLayer extends ExpertLayer {
  readonly weights: readonly Readonly<LayerShards<GpuBuffer>>[];
  /** Per rank: [slots, length, KVl, Dh] each. */
  readonly cache: readonly { readonly k: GpuBuffer; readonly v: GpuBuffer }[];
}

/** One micro-batch as the half behind attention sees it. */
export interface ExpertStep {
  readonly batch: MicroBatch;
  /** Per rank of a stage. */
  readonly loads: readonly RankLoad[];
  readonly tables: StepTables;
  /** Called after a layer's routing with a rank's expert ids, u32 [share, K]. */
  readonly onIds?: ((commands: CommandList, layer: number, rank: number, ids: Bindable) => void) | undefined;
  /** And with the slots that they were given, where that is not their number. */
  readonly onSlots?: ExpertStep['onIds'];
  /** Whether no micro-batch of this step follows. */
  readonly isLast: boolean;
  /** By how much a bias changes in this step, where not by the engine's rate. */
  readonly biasRate?: number | undefined;
}

/** One micro-batch as the stages see it. */
export interface StageStep extends ExpertStep {
  /** Rows of the projections around attention, and those of which logits are wanted. */
  readonly projections: PlacedRows;
  readonly logits: PlacedRows;
}
