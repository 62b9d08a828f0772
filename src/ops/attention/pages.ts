/** Keys and values in pages (vLLM's layout): which rows of the pages a sequence owns. */
import { ConfigError } from '../../core/errors.ts';
import { at, ceilDiv } from '../../core/math.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** The pages of all sequences, P each. */
export interface Pages {
  readonly pageSize: number;
  /** Keys of every sequence, its queries' own included. */
  readonly lengths: readonly number[];
  /** [B, P]; an entry behind a sequence's last key is 0. */
  readonly table: Uint32Array;
}

/** @throws ConfigError for a length that the table cannot hold, fewer keys than queries, or a page that is not there. */
export function pagesOf(
  op: string,
  blockTable: Tensor,
  kvLengths: Tensor,
  size: { numPages: number; pageSize: number; perSequence: number; numQueries: number },
): Pages {
  const { numPages, pageSize, perSequence, numQueries } = size;
  const lengths = Array.from(kvLengths.data, Number);
  const table = new Uint32Array(blockTable.data.length);
  lengths.forEach((length, b) => {
    if (length > perSequence * pageSize) {
      throw new ConfigError(
        `${op}: kv_lengths[${b}] is ${length}, but its ${perSequence} pages (P) of ${pageSize} keys (R) hold ` +
          `${perSequence * pageSize}. Give a block_table with at least ${ceilDiv(length, pageSize)} columns.`,
      );
    }
    if (length < numQueries) {
      throw new ConfigError(
        `${op}: kv_lengths[${b}] is ${length}, but the ${numQueries} queries (Sq) are the last positions of their ` +
          `sequence. Count their own keys too.`,
      );
    }
    for (let page = 0; page * pageSize < length; page++) {
      const number = Number(at(blockTable.data, b * perSequence + page));
      if (!(number >= 0 && number < numPages)) {
        throw new ConfigError(
          `${op}: block_table[${b}, ${page}] is ${number}, outside of the ${numPages} pages (N) of k_pages, and ` +
            `sequence ${b} has ${length} keys. Give a page in 0..${numPages - 1}, or a shorter kv_lengths[${b}].`,
        );
      }
      table[b * perSequence + page] = number;
    }
  });
  return { pageSize, lengths, table };
}
