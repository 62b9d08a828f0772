/** The tables of one micro-batch on the device. All ranks of a group read the same ones; they are control data. */
import { shareWords, type GroupTable } from '../../collectives/groups.ts';
import { SymmetricArray } from '../../collectives/symmetric.ts';
import { at, range } from '../../core/math.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { stageTableWords, type TableName, tableWords } from '../../memory/arrays.ts';
import { groupTables, logitRows, type MicroBatch, type RankLoad } from './plan.ts';
import type { Layout } from '../../layout/layout.ts';
import type { AdmissionPlan, EnginePlan } from '../../memory/engine-plan.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import { admissionLoads } from '../../routing/device-tables.ts';

export class StepTables {
  readonly #gpu: Gpu;
  readonly #z: RankSizes;
  readonly #layout: Layout;
  readonly #rule: AdmissionPlan | undefined;
  readonly ids: SymmetricArray;
  readonly place: SymmetricArray;
  readonly sequences: SymmetricArray;
  readonly rows: SymmetricArray;
  readonly shares: GpuBuffer;
  /** Tokens and capacities of the ranks, of an engine whose choices are given slots. */
  readonly admission: GpuBuffer | undefined;

  constructor(gpu: Gpu, index: number, { sizes: z, layout, admission }: EnginePlan) {
    this.#layout = layout;
    this.#rule = admission;
    this.#gpu = gpu;
    this.#z = z;
    const words = tableWords(z);
    const array = (name: TableName): SymmetricArray =>
      new SymmetricArray(gpu, `tables/m${index}/${name}`, z.numGroups, words[name]);
    this.ids = array('ids');
    this.place = array('place');
    this.sequences = array('sequences');
    this.rows = array('rows');
    const perStage = stageTableWords(z.numRanks);
    this.admission = admission && gpu.buffer(`tables/m${index}/admission`, 4 * perStage.admission);
    this.shares = gpu.buffer(`tables/m${index}/shares`, 4 * perStage.shares);
  }

  /** Queues the writes; they happen before everything that is submitted later. */
  write(
    batch: MicroBatch,
    loads: readonly RankLoad[],
    { tpGroups, epGroups }: Record<'tpGroups' | 'epGroups', GroupTable>,
    logits: 'last' | 'all',
  ): void {
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
    if (this.admission === undefined || this.#rule === undefined) return;
    const tokens = loads.map(({ share }) => share.count);
    const { placement } = this.#layout;
    this.#gpu.write(
      this.admission,
      admissionLoads(this.#rule, placement, this.#z.topK, epGroups.groups, tokens),
    );
  }

  destroy(): void {
    for (const owner of [this.ids, this.place, this.sequences, this.rows, this.shares]) owner.destroy();
    this.admission?.destroy();
  }
}
