/**
 * The half of one layer behind attention by itself: what an engine runs there, kernel for kernel, without the rest of a
 * model around it. For who times or studies the routed layer.
 */
import type { Recorded } from '../../collectives/segments.ts';
import { groupTable } from '../../collectives/groups.ts';
import { oneDeviceTransport } from '../../collectives/one-device.ts';
import { at, range } from '../../core/math.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import type { EnginePlan } from '../../memory/engine-plan.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import type { WeightSource } from '../../model/config.ts';
import { uploadPlaces } from '../admission.ts';
import { stageGroups } from '../groups.ts';
import { layerShards, type Shard } from '../shards.ts';
import { StageWorkspace } from '../stage-workspace.ts';
import { planStep, rankLoads } from '../step/plan.ts';
import { StepTables } from '../step/tables.ts';
import { WeightStore } from '../weight-store.ts';
import { admissionSegments } from './admission.ts';
import { busyGroups } from './busy-groups.ts';
import { ATTENTION_SHARDS, type ExpertContext, type ExpertLayer, type ExpertStep } from './context.ts';
import { expertSegments, routerSegment } from './expert-block.ts';
import { prepareExpertHalf } from './expert-kernels.ts';

export interface ExpertHalf {
  readonly layout: Layout;
  readonly sizes: RankSizes;
  /** Its `x` is what the layer reads and where it leaves its output; the attention output beside it is 0. */
  readonly workspace: StageWorkspace;
  readonly bias: ExpertLayer['bias'];
  /** Tokens of every rank. */
  readonly tokens: readonly number[];
  /** All of it. */
  readonly whole: readonly Recorded[];
  /** Norm and router alone. */
  readonly router: Recorded;
  /** What follows the router: slots, and the update of the bias. @param rate of the bias; the plan's when absent. */
  admission(rate?: number): readonly Recorded[];
  destroy(): void;
}

/**
 * Uploads the weights of the first layer and compiles its kernels.
 * @param plan of one stage without tensor parallelism. @param tokens of every rank. The caller destroys it.
 * @throws ConfigError for what the adapter cannot run.
 */
export async function createExpertHalf(
  gpu: Gpu,
  plan: EnginePlan,
  source: WeightSource,
  tokens: readonly number[],
): Promise<ExpertHalf> {
  const { layout, sizes: z, admission } = plan;
  const owned: { destroy(): void }[] = [];
  const own = <T extends { destroy(): void }>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  const release = (): void => {
    for (const thing of owned.splice(0).reverse()) thing.destroy();
  };
  const store = own(new WeightStore(gpu, source));
  try {
    const transport = await oneDeviceTransport(gpu);
    const kernels = await prepareExpertHalf(gpu, plan, transport);
    const prepared: Omit<ExpertContext, 'kernels'> = {
      ...{ layout, sizes: z, transport },
      places: admission && own(uploadPlaces(gpu, layout, admission)),
      tpGroups: own(groupTable(gpu, 'tables/tp-groups', stageGroups(layout, 'tp'))),
      epGroups: own(groupTable(gpu, 'tables/ep-groups', stageGroups(layout, 'ep'))),
    };
    const weights: ExpertLayer['weights'][number][] = [];
    for (const rank of range(z.numRanks)) weights.push(await weightsOf(store, source, plan, rank));
    await store.written();
    const wide = store.wideKinds();
    const context: ExpertContext = {
      ...prepared,
      kernels: wide.size === 0 ? kernels : await prepareExpertHalf(gpu, plan, transport, wide),
    };
    const bias = z.admission?.balances
      ? {
          bias: own(gpu.buffer('tables/bias/l0', 4 * z.numExperts)),
          load: own(gpu.buffer('tables/bias-load/l0', 4 * z.numExperts)),
        }
      : undefined;
    const layer: ExpertLayer = { index: 0, firstRouted: true, weights, bias };
    const workspace = own(new StageWorkspace(gpu, 0, z, layout.spec));
    const tables = own(new StepTables(gpu, 0, plan));
    const requests = tokens.flatMap((count, sequence) =>
      count === 0 ? [] : [{ sequence, ids: new Array<number>(count).fill(0) }],
    );
    const batch = at(
      planStep(z, requests, () => 0, 1),
      0,
    );
    const loads = rankLoads(layout, z, batch);
    tables.write(batch, loads, context, 'last');
    const step: ExpertStep = { batch, loads, tables, isLast: true };
    const busy = busyGroups(context, step);
    return {
      ...{ layout, sizes: z, workspace, bias, tokens: loads.map(({ share }) => share.count) },
      // On one device nothing is awaited.
      whole: expertSegments(context, workspace, layer, step) as Recorded[],
      router: routerSegment(context, workspace, layer, step, busy),
      admission: (biasRate) => admissionSegments(context, workspace, layer, { ...step, biasRate }, busy),
      destroy: release,
    };
  } catch (error) {
    await store.ended();
    release();
    throw error;
  }
}

async function weightsOf(
  store: WeightStore,
  source: WeightSource,
  { layout, sizes, dtypes }: EnginePlan,
  rank: number,
): Promise<ExpertLayer['weights'][number]> {
  const where = { tp: 0, ep: rank % layout.spec.ep, owners: sizes.owners };
  const made: [string, GpuBuffer][] = [];
  for (const [name, shard] of Object.entries<Shard>({ ...layerShards(source, layout, dtypes, 0, where) })) {
    if (!ATTENTION_SHARDS.some((one) => one === name)) made.push([name, await store.get(shard)]);
  }
  return Object.fromEntries(made) as unknown as ExpertLayer['weights'][number];
}
