/** What an engine will take on the device, added up from the layout alone. */
import { range, sum } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Layout } from '../layout/layout.ts';
import type { WeightSource } from '../model/config.ts';
import { PipelineEnds } from './ends.ts';
import type { WeightDtype } from '../kernels/weights.ts';
import { endShards, layerShards, type Shard } from './shards.ts';
import { attentionScratchBytes } from './layer/kernels.ts';
import type { RankSizes } from './sizes.ts';
import { cacheBytes } from './layer/stage.ts';
import { StepTables } from './step/tables.ts';
import { shardBytes } from './weight-store.ts';
import { bufferBytes, StageWorkspace } from './stage-workspace.ts';

/** Bytes of weights (each distinct shard once), KV caches, workspaces and tables of all ranks on this device. */
export function predictMemory(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  source: WeightSource,
  dtype: WeightDtype,
  microBatches: number,
): number {
  const { pp, tp, ep } = layout.spec;
  const shards = new Map<string, Shard>();
  const add = (shard: Shard): void => void shards.set(shard.key, shard);
  const where = (rank: number) => ({ tp: rank % tp, ep: rank, owners: z.owners });
  for (const layer of range(layout.model.numLayers)) {
    for (const rank of range(ep)) {
      Object.values(layerShards(source, layout, dtype, layer, where(rank))).forEach(add);
    }
  }
  const ends = endShards(source, layout, dtype);
  [ends.embedding, ends.finalNorm, ...range(tp).map((i) => ends.lmHead(i))].forEach(add);
  const weightBytes = sum([...shards.values()].map(shardBytes));
  const kvBytes = layout.model.numLayers * z.numRanks * 2 * cacheBytes(z);
  const ropeBytes = bufferBytes(4 * z.maxLength * z.headDim);
  const scratch = attentionScratchBytes(gpu, z);
  const groupBytes = 2 * (bufferBytes(4 * z.numRanks) + bufferBytes(16 * z.numRanks));
  return (
    weightBytes +
    kvBytes +
    pp * StageWorkspace.predictBytes(gpu, z, layout.spec) +
    PipelineEnds.predictBytes(layout, z) +
    microBatches * StepTables.predictBytes(gpu, z) +
    ropeBytes +
    (scratch === 0 ? 0 : bufferBytes(scratch)) +
    groupBytes
  );
}
