/**
 * The timestamp queries of all lists of a device: blocks of one set, and of further sets while that one is full. It stays
 * until the device ends; the others go with their last block.
 */
import type { MemoryLedger } from './ledger.ts';

/** The specification's largest query set. */
const QUERIES_PER_SET = 4096;
/** Of 8 bytes. A block is resolved to a place that is a multiple of 256 bytes. */
export const QUERIES_PER_BLOCK = 32;
const BYTES_PER_QUERY = 8;

export interface QueryBlock {
  readonly set: GPUQuerySet;
  /** Its first query in the set. */
  readonly first: number;
  /** Others may write it from now on. More than one call releases it once. */
  release(): void;
}

interface QuerySet {
  readonly handle: GPUQuerySet;
  /** First queries of free blocks, the lowest last. */
  readonly free: number[];
  readonly destroy: () => void;
}

export class QueryPool {
  readonly #device: Pick<GPUDevice, 'createQuerySet'>;
  readonly #ledger: Pick<MemoryLedger, 'hold'>;
  #sets: QuerySet[] = [];

  constructor(device: Pick<GPUDevice, 'createQuerySet'>, ledger: Pick<MemoryLedger, 'hold'>) {
    this.#device = device;
    this.#ledger = ledger;
  }

  take(): QueryBlock {
    const set = this.#sets.find(({ free }) => free.length > 0) ?? this.#create();
    const first = set.free.pop() ?? 0;
    let taken = true;
    const release = (): void => {
      if (!taken) return;
      taken = false;
      set.free.push(first);
      set.free.sort((a, b) => b - a);
      const idle = set.free.length === QUERIES_PER_SET / QUERIES_PER_BLOCK;
      if (!idle || set === this.#sets[0] || !this.#sets.includes(set)) return;
      this.#sets = this.#sets.filter((other) => other !== set);
      set.destroy();
    };
    return { set: set.handle, first, release };
  }

  /** Harmless when it has happened, and for blocks that are released later. */
  destroy(): void {
    for (const set of this.#sets.splice(0)) set.destroy();
  }

  #create(): QuerySet {
    const handle = this.#device.createQuerySet({ type: 'timestamp', count: QUERIES_PER_SET });
    const end = this.#ledger.hold('query-sets', QUERIES_PER_SET * BYTES_PER_QUERY);
    const free: number[] = [];
    for (let first = QUERIES_PER_SET - QUERIES_PER_BLOCK; first >= 0; first -= QUERIES_PER_BLOCK)
      free.push(first);
    const destroy = (): void => {
      end();
      handle.destroy();
    };
    const set = { handle, free, destroy };
    this.#sets.push(set);
    return set;
  }
}
