/** Block tables and lengths of sequences whose keys lie in pages, drawn for cases. */
import { range } from '../../core/math.ts';
import { tensor, type Tensor } from '../../tensor/tensor.ts';
import type { Maker } from './maker.ts';

/**
 * Lengths from all queries to a full table, the first sequence's the longest; pages in any order, some shared; what lies
 * behind a sequence's last key is -1, as servers fill it (2^32 - 1 in u32).
 */
export function drawPages(
  { random }: Maker,
  size: { batch: number; queries: number; numPages: number; pageSize: number; perSequence: number },
): { block_table: Tensor; kv_lengths: Tensor } {
  const { batch, queries, numPages, pageSize, perSequence } = size;
  const most = perSequence * pageSize;
  const least = Math.min(most, Math.max(1, queries));
  const lengths = range(batch).map((b) => (b === 0 ? most : least + random.integer(most - least + 1)));
  const pages = lengths.flatMap((length) =>
    range(perSequence).map((page) => (page * pageSize < length ? random.integer(Math.max(1, numPages)) : -1)),
  );
  const integers = (shape: readonly number[], values: readonly number[]): Tensor =>
    random.integer(2) === 0
      ? tensor('i32', shape, Int32Array.from(values))
      : tensor('u32', shape, Uint32Array.from(values));
  return {
    block_table: integers([batch, perSequence], pages),
    kv_lengths: integers([batch], lengths),
  };
}
