/**
 * One pipeline stage: its ranks' weights, KV caches and arrays, and the way of a micro-batch through its layers.
 * Attention runs on the TP groups, the experts on the EP groups of the same ranks.
 */
import type { Segment } from '../../collectives/segments.ts';
import { range } from '../../core/math.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import { isDense, type WeightSource } from '../../model/config.ts';
import { attentionSegments } from './attention-block.ts';
import { expertSegments } from './expert-block.ts';
import { cacheBytes } from '../../memory/arrays.ts';
import type { WeightDtypes } from '../../model/stored-weights.ts';
import { layerShards, type Shard } from '../shards.ts';
import type { StageContext, StageLayer, StageStep } from './context.ts';
import { StageWorkspace } from '../stage-workspace.ts';

/** The way of a micro-batch through one layer, numbered in the whole model. */
export interface LayerSegments {
  readonly layer: number;
  readonly segments: readonly Segment[];
}

export class Stage {
  readonly index: number;
  readonly workspace: StageWorkspace;
  readonly #context: StageContext;
  readonly #layers: readonly StageLayer[];

  /**
   * Uploads the stage's weights; shards that ranks have in common are uploaded once.
   * @param rest between two ranks: what it throws ends the making, and nothing is held then but what the store has.
   */
  static async create(
    context: StageContext,
    index: number,
    source: WeightSource,
    dtypes: WeightDtypes,
    rest: () => Promise<void>,
  ): Promise<Stage> {
    const { first, count } = context.layout.layersOf(index);
    const weights: LayerWeights[][] = [];
    const shardsAt = (i: number, rank: number): [string, Shard][] =>
      i < count ? shardsOf(context, source, dtypes, first + i, rank) : [];
    for (const i of range(count)) {
      const ofRanks: LayerWeights[] = [];
      for (const rank of range(context.sizes.numRanks)) {
        await rest();
        const last = rank + 1 === context.sizes.numRanks;
        const after = last ? shardsAt(i + 1, 0) : shardsAt(i, rank + 1);
        ofRanks.push(await weightsOf(context, shardsAt(i, rank), after));
      }
      weights.push(ofRanks);
    }
    await context.weights.written();
    return new Stage(context, index, weights);
  }

  private constructor(context: StageContext, index: number, weights: readonly LayerWeights[][]) {
    const { gpu, layout, sizes: z } = context;
    this.#context = context;
    this.index = index;
    const { first, count } = layout.layersOf(index);
    const firstRouted = range(count)
      .map((i) => first + i)
      .find((layer) => !isDense(layout.model, layer));
    this.workspace = new StageWorkspace(gpu, index, z, layout.spec);
    this.#layers = weights.map((ofRanks, i) => ({
      bias: isDense(layout.model, first + i) ? undefined : biasOf(context, first + i, ofRanks),
      index: first + i,
      firstRouted: first + i === firstRouted,
      weights: ofRanks,
      cache: range(z.numRanks).map((rank) => ({
        k: gpu.buffer(`kv-cache/l${first + i}/r${rank}/k`, cacheBytes(z)),
        v: gpu.buffer(`kv-cache/l${first + i}/r${rank}/v`, cacheBytes(z)),
      })),
    }));
  }

  /** Takes the residual stream in the workspace's `x` through all layers of the stage. */
  layers(step: StageStep): LayerSegments[] {
    return this.#layers.map((layer) => ({
      layer: layer.index,
      segments: [
        ...attentionSegments(this.#context, this.workspace, layer, step),
        ...expertSegments(this.#context, this.workspace, layer, step),
      ],
    }));
  }

  destroy(): void {
    this.workspace.destroy();
    for (const { cache, bias } of this.#layers) {
      bias?.bias.destroy();
      bias?.load.destroy();
      for (const { k, v } of cache) {
        k.destroy();
        v.destroy();
      }
    }
  }
}

/** Begins as the model's own, if it has one. */
function biasOf(
  { gpu, sizes: z }: StageContext,
  layer: number,
  ofRanks: readonly LayerWeights[],
): StageLayer['bias'] {
  if (z.admission?.balances !== true) return undefined;
  const bias = gpu.buffer(`tables/bias/l${layer}`, 4 * z.numExperts);
  const load = gpu.buffer(`tables/bias-load/l${layer}`, 4 * z.numExperts);
  const own = ofRanks[0]?.correction;
  if (own !== undefined) {
    const commands = gpu.commands('bias');
    commands.copy(own, bias, 4 * z.numExperts);
    commands.submit().discard();
  }
  return { bias, load };
}

type LayerWeights = StageLayer['weights'][number];

/** Shards of a rank, in the order in which they are uploaded. */
function shardsOf(
  { layout, sizes }: StageContext,
  source: WeightSource,
  dtypes: WeightDtypes,
  layer: number,
  rank: number,
): [string, Shard][] {
  const shards = layerShards(source, layout, dtypes, layer, {
    tp: rank % layout.spec.tp,
    ep: rank % layout.spec.ep,
    owners: sizes.owners,
  });
  return Object.entries<Shard>({ ...shards });
}

/** @param after shards of the rank that comes next. */
async function weightsOf(
  { weights }: StageContext,
  shards: readonly [string, Shard][],
  after: readonly [string, Shard][],
): Promise<LayerWeights> {
  const made: [string, GpuBuffer][] = [];
  for (const [k, [name, shard]] of shards.entries()) {
    const upcoming = [...shards.slice(k + 1), ...after].map(([, next]) => next);
    made.push([name, await weights.get(shard, upcoming)]);
  }
  return Object.fromEntries(made) as unknown as LayerWeights;
}
