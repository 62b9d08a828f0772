/**
 * The arrays of one stage: symmetric ones, which collectives reach on every rank, and private ones, which only a
 * rank's own kernels are given. Both come from a list that is also what the memory prediction adds up.
 */
import { at, range, roundUp, sum } from '../core/math.ts';
import { invariant } from '../core/errors.ts';
import { SymmetricArray } from '../collectives/symmetric.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { GRID_WORDS, planScratchWords, TILE_WORDS, tileCapacity } from '../core/plan-sizes.ts';
import type { RankSizes } from './sizes.ts';

/** Words (4 bytes) of every symmetric array, per rank. */
function symmetricWords(z: RankSizes, ep: number): Record<SymmetricName, number> {
  const D = z.modelDim;
  return {
    x: z.maxTokens * D,
    partial: z.maxTokens * D,
    attended: z.shareTokens * D,
    mixed: z.shareTokens * D,
    start: z.numExperts + 1,
    starts: ep * (z.numExperts + 1),
    receiveStart: z.localExperts * ep,
    tiles: TILE_WORDS * tileCapacity(z.receiveRows, z.localExperts, 1),
    grid: GRID_WORDS,
    send: z.sendRows * D,
    receive: z.receiveRows * D,
    expertOut: z.receiveRows * D,
    returned: z.sendRows * D,
  };
}

/** Words of every private array of one rank. */
function privateWords(z: RankSizes): Record<PrivateName, number> {
  const D = z.modelDim;
  return {
    normed: z.maxTokens * D,
    qkv: z.maxTokens * (z.numHeads + 2 * z.numKvHeads) * z.headDim,
    q: z.maxTokens * z.numHeads * z.headDim,
    heads: z.maxTokens * z.numHeads * z.headDim,
    sum: z.shareTokens * D,
    routed: z.shareTokens * D,
    logits: z.shareTokens * z.numExperts,
    ids: z.sendRows,
    scores: z.sendRows,
    slot: z.sendRows,
    rowToken: z.sendRows,
    planScratch: planScratchWords(z.sendRows, z.numExperts),
  };
}

export type SymmetricName =
  | 'x' // [T, D] residual stream of the TP group's tokens, whole on every member
  | 'partial' // [T, D] this rank's heads through its part of the output projection
  | 'attended' // [share, D] the summed output projection of its share of the tokens
  | 'mixed' // [share, D] the layer's output for its share
  | 'start' // [E + 1] first send row of every expert
  | 'starts' // [ep, E + 1] those of the whole EP group
  | 'receiveStart' // [local E, ep]
  | 'tiles' // [tiles, 4] of the grouped GEMM: a list lies in the parts of the ranks that it serves
  | 'grid' // [2, 4] its indirect grids, in the part of the first of them
  | 'send' // [share K, D] rows sorted by expert
  | 'receive' // [rows, D] rows of the local experts
  | 'expertOut' // [rows, D]
  | 'returned'; // [share K, D] expert outputs, back in send order

export type PrivateName =
  | 'normed'
  | 'qkv'
  | 'q'
  | 'heads'
  | 'sum'
  | 'routed'
  | 'logits'
  | 'ids'
  | 'scores'
  | 'slot'
  | 'rowToken'
  | 'planScratch';

/** Arrays that a group of one makes needless: its collectives would only copy. */
function neededSymmetric(tp: number, ep: number): SymmetricName[] {
  const all: SymmetricName[] = ['x', 'partial', 'start', 'tiles', 'grid', 'expertOut'];
  if (tp > 1) all.push('attended', 'mixed');
  if (ep > 1) all.push('starts', 'receiveStart', 'send', 'receive', 'returned');
  return all;
}

export class StageWorkspace {
  readonly #symmetric: ReadonlyMap<SymmetricName, SymmetricArray>;
  readonly #ranks: readonly Record<PrivateName, GpuBuffer>[];
  readonly #hidden: readonly GpuBuffer[];
  readonly #owners: number;

  constructor(gpu: Gpu, stage: number, z: RankSizes, groups: { tp: number; ep: number }) {
    const symmetric = symmetricWords(z, groups.ep);
    this.#symmetric = new Map(
      neededSymmetric(groups.tp, groups.ep).map((name) => [
        name,
        new SymmetricArray(gpu, `workspace/s${stage}/${name}`, z.numRanks, symmetric[name]),
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
    this.#owners = z.owners;
    invariant(
      z.owners === 1 || this.symmetric('receive').stride === z.receiveRows * z.modelDim,
      () => `parts of ${z.receiveRows} rows of ${z.modelDim} are not whole rows apart`,
    );
    this.#hidden = range(z.numRanks / z.owners).map((run) =>
      gpu.buffer(`workspace/s${stage}/r${run * z.owners}/hidden`, hiddenBytes(z)),
    );
  }

  /** Bytes that one stage's workspace will take. */
  static predictBytes(gpu: Gpu, z: RankSizes, groups: { tp: number; ep: number }): number {
    const symmetric = symmetricWords(z, groups.ep);
    return (
      sum(
        neededSymmetric(groups.tp, groups.ep).map((n) => SymmetricArray.bytes(gpu, z.numRanks, symmetric[n])),
      ) +
      z.numRanks * sum(Object.values(privateWords(z)).map((words) => bufferBytes(4 * words))) +
      (z.numRanks / z.owners) * bufferBytes(hiddenBytes(z))
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

  /** [rows, F] between the two products of the experts of a rank and of those that share its stack. */
  hidden(rank: number): GpuBuffer {
    return at(this.#hidden, Math.floor(rank / this.#owners));
  }

  destroy(): void {
    for (const buffer of this.#hidden) buffer.destroy();
    for (const array of this.#symmetric.values()) array.destroy();
    for (const rank of this.#ranks) for (const buffer of Object.values(rank)) buffer.destroy();
  }
}

function hiddenBytes({ owners, receiveRows, expertDim }: RankSizes): number {
  return 4 * owners * receiveRows * expertDim;
}

/** Bytes that `Gpu.buffer` allocates for a request. */
export function bufferBytes(bytes: number): number {
  return Math.max(16, roundUp(bytes, 16));
}
