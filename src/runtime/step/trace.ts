/** Which experts were chosen: copied aside layer by layer on the device, read back once at the end of a step. */
import { SymmetricArray } from '../../collectives/symmetric.ts';
import { at, range } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { DROPPED } from '../../routing/dispatch-plan.ts';
import type { Layout } from '../../layout/layout.ts';
import { isDense } from '../../model/config.ts';
import type { StageStep } from '../layer/context.ts';
import type { Request } from './plan.ts';
import type { TensorData } from '../../tensor/tensor.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';

export interface ExpertTrace {
  readonly array: SymmetricArray;
  /** Of an engine whose choices are given slots. */
  readonly slots: SymmetricArray | undefined;
  record(commands: CommandList, microBatch: number, layer: number, rank: number, ids: Bindable): void;
  /** The slots that they were given, where these are not their numbers. */
  recordSlots(commands: CommandList, microBatch: number, layer: number, rank: number, slots: Bindable): void;
  destroy(): void;
}

/** What the experts of each rank of a stage had to do for one micro-batch in one layer. */
export interface ExpertRows {
  readonly stage: number;
  /** Of the whole model. */
  readonly layer: number;
  readonly microBatch: number;
  /** By rank of the stage: the (token, k) pairs in its slots, of all ranks of its EP group. */
  readonly rows: readonly number[];
}

/** Room for [micro-batch, layer, rank of the stage] blocks of u32 [share, K]. */
export function expertTrace(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  steps: readonly StageStep[],
): ExpertTrace {
  const { numLayers } = layout.model;
  const make = (name: string): SymmetricArray =>
    new SymmetricArray(gpu, `read-back/${name}`, steps.length * numLayers * z.numRanks, z.sendRows);
  const array = make('experts');
  const slots = z.admission && make('slots');
  const into =
    (target: SymmetricArray | undefined): ExpertTrace['record'] =>
    (commands, m, layer, rank, ids) => {
      const { share } = at(at(steps, m).loads, rank);
      const block = (m * numLayers + layer) * z.numRanks + rank;
      if (target !== undefined && share.count > 0)
        commands.copy(ids, target.part(block), 4 * share.count * z.topK);
    };
  return {
    array,
    slots,
    record: into(array),
    recordSlots: into(slots),
    destroy: () => {
      array.destroy();
      slots?.destroy();
    },
  };
}

export interface ChosenExperts {
  /** Per request and layer u32 [tokens, K]; empty for a layer without routing. */
  readonly experts: readonly (readonly Uint32Array[])[];
  readonly expertRows: readonly ExpertRows[];
}

export async function collectExperts(
  gpu: Gpu,
  layout: Layout,
  z: RankSizes,
  steps: readonly StageStep[],
  { array, slots }: ExpertTrace,
  requests: readonly Request[],
): Promise<ChosenExperts> {
  const { numLayers } = layout.model;
  const { data } = await gpu.read(array.buffer, [array.numParts * array.stride], 'u32');
  const placed = slots && (await gpu.read(slots.buffer, [slots.numParts * slots.stride], 'u32')).data;
  const experts = requests.map(({ ids }) =>
    range(numLayers).map((layer) => new Uint32Array(isDense(layout.model, layer) ? 0 : ids.length * z.topK)),
  );
  const expertRows: ExpertRows[] = [];
  steps.forEach(({ batch, loads }, m) => {
    for (const layer of range(numLayers)) {
      if (isDense(layout.model, layer)) continue;
      const partOf = (all: TensorData, rank: number): ArrayLike<number> => {
        const begin = ((m * numLayers + layer) * z.numRanks + rank) * array.stride;
        return all.subarray(begin, begin + at(loads, rank).share.count * z.topK);
      };
      const choicesOf = (rank: number): ArrayLike<number> => partOf(data, rank);
      const owners = { ep: layout.spec.ep, slotsOfRank: z.localExperts };
      const rows = receivedRows(owners, loads.length, (rank) => partOf(placed ?? data, rank));
      expertRows.push({ stage: layout.stageOfLayer(layer), layer, microBatch: m, rows });
      batch.forEach((group, g) => {
        const joined = new Uint32Array(group.numTokens * z.topK);
        loads.forEach(({ group: of, share }, rank) => {
          if (of === g) joined.set(choicesOf(rank), share.first * z.topK);
        });
        let token = 0;
        for (const { request, ids } of group.sequences) {
          at(at(experts, request), layer).set(joined.subarray(token * z.topK, (token + ids.length) * z.topK));
          token += ids.length;
        }
      });
    }
  });
  return { experts, expertRows };
}

/** By rank of a stage, numbered replica * ep + e: each choice goes to the rank of the same replica that owns its slot. */
export function receivedRows(
  { ep, slotsOfRank }: { readonly ep: number; readonly slotsOfRank: number },
  numRanks: number,
  choicesOf: (rank: number) => ArrayLike<number>,
): number[] {
  const rows = new Array<number>(numRanks).fill(0);
  for (const rank of range(numRanks)) {
    for (const slot of Array.from(choicesOf(rank))) {
      if (slot === DROPPED) continue;
      const owner = rank - (rank % ep) + Math.floor(slot / slotsOfRank);
      rows[owner] = at(rows, owner) + 1;
    }
  }
  return rows;
}
