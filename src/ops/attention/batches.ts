/** Queries in dispatches that end soon, and whose tensors can be bound: sequences by sequences where they cannot at once. */
import { ConfigError } from '../../core/errors.ts';
import { ceilDiv, range, roundUp } from '../../core/math.ts';
import type { Bindable, GpuBuffer } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { AttentionSize } from './size.ts';
import { type Rows, rowRuns } from '../row-runs.ts';
import type { OpBuffers } from '../op-buffers.ts';

export interface QueryBatch {
  readonly sequences: Bindable;
  readonly numSequences: number;
  readonly maxQueries: number;
  /** Sequences that q, k, v and o are bound for; undefined: all. */
  readonly bound?: Rows;
}

/** Words of one sequence in what is bound sequences by sequences. */
export interface SequenceWords {
  /** Of q and o. */
  readonly queries: number;
  /** Of k and v; 0 where all are bound at once. */
  readonly keys: number;
  /** What a variant keeps between its dispatches. */
  readonly scratch: number;
}

export function sequenceWords(size: AttentionSize, scratch: number): SequenceWords {
  const { numQueries, numKeys, numHeads, numKvHeads, headDim, pages, kvDtype } = size;
  const perWord = kvDtype === 'f16' ? 2 : 1;
  return {
    queries: numQueries * numHeads * headDim,
    keys: pages ? 0 : (numKeys * numKvHeads * headDim) / perWord,
    scratch,
  };
}

/**
 * The queries of all sequences. A run of queries of one sequence is a sequence to the kernel, which under a causal mask
 * ends with its last query.
 * @throws ConfigError when even the fewest sequences whose parts are aligned cannot be bound.
 */
export function queryBatches(space: OpBuffers, size: AttentionSize, words: SequenceWords): QueryBatch[] {
  const { batch, numQueries, numKeys, numHeads, headDim, causal, pages } = size;
  const most = space.gpu.limits.maxComputeWorkgroupsPerDimension;
  const flopsPerQuery = 4 * numHeads * headDim * numKeys;
  const runs = rowRuns(space.gpu, numQueries, flopsPerQuery, most);
  const soon = Math.min(most, rowRuns(space.gpu, batch, flopsPerQuery * numQueries)[0]?.count ?? 1);
  const bindable = sequencesPerBinding(space.gpu, batch, words);
  const batches: QueryBatch[] = [];
  for (let firstBound = 0; firstBound < batch; firstBound += bindable) {
    const bound = { first: firstBound, count: Math.min(bindable, batch - firstBound) };
    const isWhole = bound.count === batch;
    const perDispatch = Math.min(soon, bound.count);
    for (const { first, count } of runs) {
      for (let b = firstBound; b < firstBound + bound.count; b += perDispatch) {
        const numSequences = Math.min(perDispatch, firstBound + bound.count - b);
        const rows = range(numSequences).flatMap((i) => {
          const keys = pages?.lengths[b + i] ?? numKeys;
          const seen = causal ? keys - numQueries + first + count : keys;
          const own = b + i - firstBound;
          return [own * numQueries + first, count, seen, pages ? b + i : own];
        });
        const table = Uint32Array.from([...rows, ...(pages?.table ?? [])]);
        const sequences = space.integers(`sequences ${ceilDiv(b, perDispatch)}`, table);
        batches.push({ sequences, numSequences, maxQueries: count, ...(!isWhole && { bound }) });
      }
    }
  }
  return batches;
}

/** Sequences whose parts of every tensor can be bound at once, and begin where a binding may. */
export function sequencesPerBinding(gpu: Gpu, batch: number, words: SequenceWords): number {
  const { queries, keys, scratch } = words;
  const limit = gpu.limits.maxStorageBufferBindingSize;
  const most = Math.floor(limit / (4 * Math.max(1, queries, keys, scratch)));
  if (most >= batch) return batch;
  const block = Math.max(alignedSequences(queries), alignedSequences(keys));
  const count = most - (most % block);
  if (count > 0) return count;
  throw new ConfigError(
    `${gpu.facts.name} binds ${limit} bytes at once, which is less than ${block} of the sequences take in q, k, v or o. ` +
      `Give sequences of fewer positions or heads, f16 keys and values, or use another adapter.`,
  );
}

/** Fewest sequences of so many words that are a multiple of 256 bytes. */
function alignedSequences(words: number): number {
  let count = 1;
  while ((count * words) % 64 !== 0) count *= 2;
  return count;
}

/** The sequences of a batch in a buffer with so many words of each. */
export function boundPart(buffer: GpuBuffer, { bound }: QueryBatch, words: number): Bindable {
  if (bound === undefined || words === 0) return buffer;
  return buffer.view(4 * bound.first * words, roundUp(4 * bound.count * words, 4));
}
