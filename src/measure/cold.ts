/**
 * Inputs that no cache holds. WebGPU cannot flush a cache, so the inputs exist in several copies that take turns: when
 * the first one's turn comes again, the others have passed through a cache five times too small for them.
 */
import { at } from '../core/math.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { PreparedOp } from '../ops/op.ts';

export interface CacheSize {
  readonly bytes: number;
  readonly source: 'measured' | 'assumed';
  readonly note: string;
}

/** What a row was timed on. */
export interface ColdInputs {
  readonly copies: number;
  readonly bytes: number;
  /** False: memory or number of copies did not allow for five times the cache. */
  readonly enough: boolean;
}

/** Copies fill the cache so many times. A guess; flashinfer takes as many. */
const TIMES = 5;
const MIB = 2 ** 20;
/** Larger than that of any device that is common. A guess. */
const ASSUMED: CacheSize = { bytes: 64 * MIB, source: 'assumed', note: 'assumed: 64 MiB' };
/** Of all copies together. A guess, as is how many there are at most. */
const MOST_BYTES = 2 ** 30;
const MOST_COPIES = 256;

/** Of the CPU where that runs the kernels and tells; assumed elsewhere, since WebGPU does not. */
export async function lastLevelCache(gpu: Gpu): Promise<CacheSize> {
  if (gpu.facts.kind === 'gpu') return ASSUMED;
  for (const index of [3, 2]) {
    try {
      const path = `/sys/devices/system/cpu/cpu0/cache/index${index}/size`;
      const text = new TextDecoder().decode(await gpu.platform.readFile(path));
      const kib = Number(/^(\d+)K/.exec(text)?.[1] ?? NaN);
      if (kib > 0)
        return { bytes: kib * 1024, source: 'measured', note: `${kib / 1024} MiB, as the system says` };
    } catch {
      // The system does not tell.
    }
  }
  return ASSUMED;
}

/** How many copies of a working set make it cold. copiesFor(1 MiB, 8 MiB) = 41: one is in use while 40 pass. */
export function copiesFor(bytes: number, cache: CacheSize): ColdInputs {
  const wanted = 1 + Math.ceil((TIMES * cache.bytes) / Math.max(1, bytes));
  const fitting = Math.max(1, Math.floor(MOST_BYTES / Math.max(1, bytes)));
  const copies = Math.min(wanted, fitting, MOST_COPIES);
  return { copies, bytes: copies * bytes, enough: copies === wanted };
}

/** Several copies of a prepared op as one that takes the next at each record. */
export async function inCopies(copies: number, prepare: () => Promise<PreparedOp>): Promise<PreparedOp> {
  const all: PreparedOp[] = [];
  const destroy = (): void => {
    for (const one of all) one.destroy();
  };
  try {
    while (all.length < copies) all.push(await prepare());
  } catch (error) {
    destroy();
    throw error;
  }
  let next = 0;
  return {
    ...at(all, 0),
    record: (commands: CommandList) => at(all, next++ % copies).record(commands),
    destroy,
  };
}
