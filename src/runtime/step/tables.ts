/** The tables of one micro-batch on the device. All ranks of a group read the same ones; they are control data. */
import { shareWords, type GroupTable } from '../../collectives/groups.ts';
import { SymmetricArray } from '../../collectives/symmetric.ts';
import { at, range } from '../../core/math.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { stageTableWords, type TableName, tableWords } from '../../memory/arrays.ts';
import { groupTables, logitRows, type MicroBatch, type RankLoad } from './plan.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';

export class StepTables {
  readonly #gpu: Gpu;
  readonly #z: RankSizes;
  readonly ids: SymmetricArray;
  readonly place: SymmetricArray;
  readonly sequences: SymmetricArray;
  readonly rows: SymmetricArray;
  readonly shares: GpuBuffer;

  constructor(gpu: Gpu, index: number, z: RankSizes) {
    this.#gpu = gpu;
    this.#z = z;
    const words = tableWords(z);
    const array = (name: TableName): SymmetricArray =>
      new SymmetricArray(gpu, `tables/m${index}/${name}`, z.numGroups, words[name]);
    this.ids = array('ids');
    this.place = array('place');
    this.sequences = array('sequences');
    this.rows = array('rows');
    this.shares = gpu.buffer(`tables/m${index}/shares`, 4 * stageTableWords(z.numRanks).shares);
  }

  /** Queues the writes; they happen before everything that is submitted later. */
  write(batch: MicroBatch, loads: readonly RankLoad[], tpGroups: GroupTable, logits: 'last' | 'all'): void {
    const tables = batch.map((step) => ({
      ...groupTables(step, this.#z.maxLength),
      rows: logitRows(step, logits),
    }));
    for (const name of ['ids', 'place', 'sequences', 'rows'] as const) {
      const array = this[name];
      const words = new Uint32Array(array.stride * array.numParts);
      for (const group of range(array.numParts)) words.set(at(tables, group)[name], group * array.stride);
      this.#gpu.write(array.buffer, words);
    }
    this.#gpu.write(
      this.shares,
      shareWords(
        tpGroups.groups,
        loads.map((l) => l.share),
      ),
    );
  }

  destroy(): void {
    for (const owner of [this.ids, this.place, this.sequences, this.rows, this.shares]) owner.destroy();
  }
}
