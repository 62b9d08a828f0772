/** Which experts were chosen: copied aside layer by layer on the device, read back once at the end of a step. */
import { SymmetricArray } from '../../collectives/symmetric.ts';
import { at, range } from '../../core/math.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import type { StageStep } from '../layer/context.ts';
import type { Request } from './plan.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';

export interface ExpertTrace {
  readonly array: SymmetricArray;
  record(commands: CommandList, microBatch: number, layer: number, rank: number, ids: GpuBuffer): void;
  destroy(): void;
}

/** Room for [micro-batch, layer, rank of the stage] blocks of u32 [share, K]. */
export function expertTrace(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  steps: readonly StageStep[],
): ExpertTrace {
  const { numLayers } = layout.model;
  const array = new SymmetricArray(
    gpu,
    'read-back/experts',
    steps.length * numLayers * z.numRanks,
    z.sendRows,
  );
  return {
    array,
    record: (commands, m, layer, rank, ids) => {
      const { share } = at(at(steps, m).loads, rank);
      const block = (m * numLayers + layer) * z.numRanks + rank;
      commands.copy(ids, array.part(block), 4 * share.count * z.topK);
    },
    destroy: () => array.destroy(),
  };
}

/** Per request and layer u32 [tokens, K]. */
export async function collectExperts(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  steps: readonly StageStep[],
  { array }: ExpertTrace,
  requests: readonly Request[],
): Promise<Uint32Array[][]> {
  const { numLayers } = layout.model;
  const { data } = await gpu.read(array.buffer, [array.numParts * array.stride], 'u32');
  const result = requests.map(({ ids }) => range(numLayers).map(() => new Uint32Array(ids.length * z.topK)));
  steps.forEach(({ batch, loads }, m) => {
    for (const layer of range(numLayers)) {
      batch.forEach((group, g) => {
        const joined = new Uint32Array(group.numTokens * z.topK);
        loads.forEach(({ group: of, share }, rank) => {
          if (of !== g) return;
          const begin = ((m * numLayers + layer) * z.numRanks + rank) * array.stride;
          joined.set(data.subarray(begin, begin + share.count * z.topK), share.first * z.topK);
        });
        let token = 0;
        for (const { request, ids } of group.sequences) {
          at(at(result, request), layer).set(joined.subarray(token * z.topK, (token + ids.length) * z.topK));
          token += ids.length;
        }
      });
    }
  });
  return result;
}
