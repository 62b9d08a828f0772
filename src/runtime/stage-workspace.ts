/**
 * The arrays of one stage: symmetric ones, which collectives reach on every rank, and private ones, which hold a rank's
 * own rows, and those of others whose product is one with its own. Both come from a list that is also what the memory prediction
 * adds up.
 */
import { at, range } from '../core/math.ts';
import { invariant } from '../core/errors.ts';
import { SymmetricArray } from '../collectives/symmetric.ts';
import type { Bindable, BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import {
  type GroupSizes,
  hiddenWords,
  type PrivateName,
  privateWords,
  purposeOf,
  type SymmetricName,
  symmetricWords,
  type UnitName,
  unitWords,
} from '../memory/arrays.ts';
import type { RankSizes } from '../memory/rank-sizes.ts';

export class StageWorkspace {
  readonly #symmetric: ReadonlyMap<SymmetricName, SymmetricArray>;
  readonly #ranks: readonly Record<PrivateName, GpuBuffer>[];
  readonly #units: readonly Partial<Record<UnitName, GpuBuffer>>[];
  readonly #hidden: readonly GpuBuffer[];
  readonly #owners: number;

  /** D. */
  readonly modelDim: number;

  constructor(gpu: Gpu, stage: number, z: RankSizes, groups: GroupSizes) {
    this.modelDim = z.modelDim;
    this.#symmetric = new Map(
      [...symmetricWords(z, groups)].map(([name, words]) => [
        name,
        new SymmetricArray(gpu, `${purposeOf(name, groups)}/s${stage}/${name}`, z.numRanks, words),
      ]),
    );
    const words = Object.entries(privateWords(z)) as [PrivateName, number][];
    this.#ranks = range(z.numRanks).map((rank) => {
      const buffers = words.map(([name, count]) => [
        name,
        gpu.buffer(`workspace/s${stage}/r${rank}/${name}`, 4 * count),
      ]);
      return Object.fromEntries(buffers) as Record<PrivateName, GpuBuffer>;
    });
    this.#units = range(z.numRanks).map((rank) =>
      Object.fromEntries(
        unitWords(z).map(([name, count]) => [
          name,
          gpu.buffer(`workspace/s${stage}/r${rank}/${name}`, 4 * count),
        ]),
      ),
    );
    this.#owners = z.owners;
    invariant(
      z.owners === 1 || this.symmetric('receive').stride === z.receiveRows * z.modelDim,
      () => `parts of ${z.receiveRows} rows of ${z.modelDim} are not whole rows apart`,
    );
    this.#hidden = range(z.numRanks / z.owners).map((run) =>
      gpu.buffer(`workspace/s${stage}/r${run * z.owners}/hidden`, 4 * hiddenWords(z)),
    );
  }

  /** The first of the names that this layout needs: a group of one skips its collective and shares the array. */
  symmetric(...names: readonly SymmetricName[]): SymmetricArray {
    for (const name of names) {
      const found = this.#symmetric.get(name);
      if (found !== undefined) return found;
    }
    throw new TypeError(`none of ${names.join()} is part of this workspace`);
  }

  rank(index: number): Record<PrivateName, GpuBuffer> {
    return at(this.#ranks, index);
  }

  /** What the router writes for a rank, and what the plan reads: the slots are the ids where nothing is admitted. */
  choices(rank: number): Record<'ids' | 'scores' | 'logits' | 'slots', Bindable> {
    const { ids, scores, logits } = this.rank(rank);
    const part = (name: SymmetricName): BufferView | undefined => this.#symmetric.get(name)?.part(rank);
    return {
      ids: part('ids') ?? ids,
      scores: part('scores') ?? scores,
      logits: part('logits') ?? logits,
      slots: part('slots') ?? ids,
    };
  }

  /** Scratch of a plain unit; only of a model that has one. */
  unit(rank: number, name: UnitName): GpuBuffer {
    const found = at(this.#units, rank)[name];
    invariant(found !== undefined, () => `${name} of a model without plain units`);
    return found;
  }

  /** [rows, F] between the two products of the experts of a rank and of those that share its stack. */
  hidden(rank: number): GpuBuffer {
    return at(this.#hidden, Math.floor(rank / this.#owners));
  }

  destroy(): void {
    for (const buffer of this.#hidden) buffer.destroy();
    for (const own of this.#units) for (const buffer of Object.values(own)) buffer.destroy();
    for (const array of this.#symmetric.values()) array.destroy();
    for (const rank of this.#ranks) for (const buffer of Object.values(rank)) buffer.destroy();
  }
}
