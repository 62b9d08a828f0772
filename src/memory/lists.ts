/**
 * What an engine takes, buffer by buffer, from its plan alone: on one device that plays all ranks, and on a rank of a
 * cluster. Steps take their read-back buffers besides, for as long as they last.
 */
import { bufferBytes, partStride } from '../core/buffer-bytes.ts';
import { at, range, sum } from '../core/math.ts';
import { isDense } from '../model/config.ts';
import { weightBytes } from '../tensor/weight-bytes.ts';
import {
  attentionWords,
  cacheBytes,
  headWords,
  hiddenWords,
  privateWords,
  purposeOf,
  ropeWords,
  stageTableWords,
  symmetricWords,
  tableWords,
  unitWords,
} from './arrays.ts';
import { placeWordCount } from '../routing/device-tables.ts';
import { isPlain } from '../routing/placement.ts';
import type { DeviceTraits } from './device-traits.ts';
import type { EnginePlan } from './engine-plan.ts';
import type { RankSizes } from './rank-sizes.ts';
import { endShardShapes, layerShardShapes, type ShardShape } from './shards.ts';

/** So many buffers of equal size. */
export interface MemoryItem {
  /** 'workspace/send'; its first part is the purpose. */
  readonly name: string;
  /** Of one buffer, as a device allocates it. */
  readonly bytes: number;
  readonly count: number;
}

/** Everything that lives on one device while the engine does. Shards that ranks have in common are there once. */
export function deviceMemory(plan: EnginePlan, traits: DeviceTraits): MemoryItem[] {
  const { layout, sizes: z } = plan;
  const { pp, tp, ep } = layout.spec;
  const { numLayers } = layout.model;
  const routedOf = routedLayers(plan);
  const ends = endShardShapes(plan);
  const shards = [
    ...range(numLayers).flatMap((layer) =>
      range(ep).flatMap((e) => shardsOf(plan, layer, { tp: e % tp, ep: e, owners: z.owners })),
    ),
    ...[...ends.embedding, ends.finalNorm, ...ends.lmHead.flat()],
  ];
  const distinct = new Map(shards.map((shard) => [shard.key, shard]));
  return [
    ...[...distinct.values()].map(itemOf),
    ...arrays(plan, z, traits, {
      stages: pp,
      layers: numLayers,
      routed: routedOf(range(numLayers)),
      heads: z.numRanks,
    }),
  ];
}

/** What one rank of a cluster would hold, on a device of its own. @param rank in [0, world size). */
export function rankMemory(plan: EnginePlan, traits: DeviceTraits, rank: number): MemoryItem[] {
  const { layout } = plan;
  const { stage, tp, ep } = layout.coordinates(rank);
  const routedOf = routedLayers(plan);
  const layers = layout.layersOf(stage);
  const alone: RankSizes = { ...plan.sizes, numRanks: 1, numGroups: 1, owners: 1 };
  const ends = endShardShapes(plan);
  const isLast = stage === layout.spec.pp - 1;
  const shards = [
    ...range(layers.count).flatMap((i) => shardsOf(plan, layers.first + i, { tp, ep, owners: 1 })),
    ...(stage === 0 ? ends.embedding : []),
    ...(isLast ? [ends.finalNorm, ...at(ends.lmHead, tp)] : []),
  ];
  return [
    ...shards.map(itemOf),
    ...arrays(plan, alone, traits, {
      ...{ stages: 1, layers: layers.count, heads: isLast ? 1 : 0 },
      routed: routedOf(range(layers.count).map((i) => layers.first + i)),
    }),
  ];
}

/** The rank of a cluster that would hold the most, by number, and its bytes. */
export function fullestRank(plan: EnginePlan, traits: DeviceTraits): { rank: number; bytes: number } {
  const { layout } = plan;
  const { pp, tp } = layout.spec;
  // Ranks differ by stage, by their part of the vocabulary, and by their experts where a table places these.
  const members = isPlain(layout.placement) ? tp : layout.spec.ep;
  const ranks = range(pp).flatMap((stage) =>
    range(members).map((ep) => layout.rankAt({ replica: 0, stage, ep })),
  );
  const found = ranks.map((rank) => ({ rank, bytes: totalBytes(rankMemory(plan, traits, rank)) }));
  return found.reduce((most, other) => (other.bytes > most.bytes ? other : most));
}

export function totalBytes(items: readonly MemoryItem[]): number {
  return sum(items.map(({ bytes, count }) => bytes * count));
}

/** Bytes by the first part of the names, as the ledger tells them: weights, kv-cache, staging, communication, workspace, tables. */
export function bytesByPurpose(items: readonly MemoryItem[]): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const { name, bytes, count } of items) {
    const purpose = name.slice(0, name.indexOf('/'));
    totals[purpose] = (totals[purpose] ?? 0) + bytes * count;
  }
  return totals;
}

function routedLayers({ layout }: EnginePlan): (layers: readonly number[]) => number {
  return (layers) => layers.filter((layer) => !isDense(layout.model, layer)).length;
}

function shardsOf(
  { layout, dtypes }: EnginePlan,
  layer: number,
  where: { tp: number; ep: number; owners: number },
): ShardShape[] {
  return Object.values<ShardShape>({ ...layerShardShapes(layout, dtypes, layer, where) });
}

function itemOf({ key, dtype, shape }: ShardShape): MemoryItem {
  return { name: key, bytes: bufferBytes(weightBytes(dtype, shape)), count: 1 };
}

/**
 * Caches, workspaces and tables of the ranks that `z` counts. @param present stages, layers of one rank of each of them
 * together and those that route, and ranks of the last stage.
 */
function arrays(
  { layout, sizes, microBatches, vocabulary }: EnginePlan,
  z: RankSizes,
  traits: DeviceTraits,
  { stages, layers, routed, heads }: { stages: number; layers: number; routed: number; heads: number },
): MemoryItem[] {
  const words = (name: string, count: number, size: number): MemoryItem => ({
    name,
    bytes: bufferBytes(4 * size),
    count,
  });
  const parts = (name: string, count: number, numParts: number, size: number): MemoryItem =>
    words(name, count, numParts * partStride(size, traits.offsetAlignment));
  const perStage = stageTableWords(sizes.numRanks);
  const scratch = attentionWords(z, traits);
  const ofHead = headWords(z, at(vocabulary.head, 0));
  const items = [
    ...['k', 'v'].map((name) => ({
      ...{ name: `kv-cache/${name}`, bytes: bufferBytes(cacheBytes(z)), count: layers * z.numRanks },
    })),
    ...[...symmetricWords(z, layout.spec)].map(([name, size]) =>
      parts(`${purposeOf(name, layout.spec)}/${name}`, stages, z.numRanks, size),
    ),
    ...Object.entries(privateWords(z)).map(([name, size]) =>
      words(`workspace/${name}`, stages * z.numRanks, size),
    ),
    ...unitWords(z).map(([name, size]) => words(`workspace/${name}`, stages * z.numRanks, size)),
    words('workspace/hidden', (stages * z.numRanks) / z.owners, hiddenWords(z)),
    words('workspace/head/rows', heads, ofHead.rows),
    words('workspace/head/normed', heads, ofHead.normed),
    ...ofHead.logits.map((size) => words('workspace/head/logits', heads, size)),
    words('workspace/attention-parts', scratch === 0 ? 0 : 1, scratch),
    ...Object.entries(tableWords(z)).map(([name, size]) =>
      parts(`tables/${name}`, microBatches, z.numGroups, size),
    ),
    words('tables/shares', microBatches, perStage.shares),
    words('tables/admission', z.admission ? microBatches : 0, perStage.admission),
    words('tables/places', z.admission ? 1 : 0, placeWordCount(layout.placement, z.admission?.turns ?? 1)),
    words('tables/bias', z.admission?.balances ? 2 * routed : 0, z.numExperts),
    words('tables/rope', 1, ropeWords(z)),
    // Of TP and of EP.
    words('tables/members', 2, perStage.members),
    words('tables/of-rank', 2, perStage.ofRank),
  ];
  return items.filter(({ count }) => count > 0);
}
