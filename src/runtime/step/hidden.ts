/** The residual stream after each layer: copied aside on the device, read back once at the end of a step. */
import { SymmetricArray } from '../../collectives/symmetric.ts';
import { at, range } from '../../core/math.ts';
import type { BufferView } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Layout } from '../../layout/layout.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import type { StageStep } from '../layer/context.ts';
import type { Request } from './plan.ts';

export interface HiddenTrace {
  /** @param x of each rank of the stage. */
  record(commands: CommandList, microBatch: number, layer: number, x: (rank: number) => BufferView): void;
  /** Per request and layer [tokens, D]. */
  collect(requests: readonly Request[]): Promise<Float32Array[][]>;
  destroy(): void;
}

/** Room for [micro-batch, layer, attention group] blocks of [tokens, D]. */
export function hiddenTrace(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  steps: readonly StageStep[],
): HiddenTrace {
  const { numLayers } = layout.model;
  const blocks = steps.length * numLayers * z.numGroups;
  const array = new SymmetricArray(gpu, 'read-back/hidden', blocks, z.maxTokens * z.modelDim);
  const blockOf = (m: number, layer: number, group: number): number =>
    (m * numLayers + layer) * z.numGroups + group;
  return {
    record: (commands, m, layer, x) => {
      // Every member of a TP group has all of the group's rows.
      at(steps, m).loads.forEach(({ group, tp, numTokens }, rank) => {
        if (tp !== 0 || numTokens === 0) return;
        commands.copy(x(rank), array.part(blockOf(m, layer, group)), 4 * numTokens * z.modelDim);
      });
    },
    collect: async (requests) => {
      const { data } = await gpu.read(array.buffer, [array.numParts * array.stride]);
      const words = data as Float32Array;
      const hidden = requests.map(({ ids }) =>
        range(numLayers).map(() => new Float32Array(ids.length * z.modelDim)),
      );
      steps.forEach(({ batch }, m) => {
        batch.forEach((group, g) => {
          for (const layer of range(numLayers)) {
            let first = blockOf(m, layer, g) * array.stride;
            for (const { request, ids } of group.sequences) {
              const end = first + ids.length * z.modelDim;
              at(at(hidden, request), layer).set(words.subarray(first, end));
              first = end;
            }
          }
        });
      });
      return hidden;
    },
    destroy: () => array.destroy(),
  };
}
