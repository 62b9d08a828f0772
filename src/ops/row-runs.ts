/** Long work over rows, cut into dispatches that end soon and whose tensors can be bound. */
import { ConfigError } from '../core/errors.ts';
import { maxOf, roundUp } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';

/**
 * What one dispatch may be given to end within seconds: software adapters reach 1 to 30 GFLOP/s, and up to 0.6 ms go
 * by per workgroup with barriers, of which some kernels have one per row.
 */
const MOST_SOFTWARE_FLOPS = 1e10;
/** A guess from the same: 4,096 barriers of 0.6 ms are 2.5 s. */
const MOST_ROWS = { software: 4096, gpu: Infinity };
/** Views of whole blocks of this many rows are aligned whatever the row's width: 64 * 4 bytes = 256. */
const ROW_BLOCK = 64;

export interface Rows {
  readonly first: number;
  readonly count: number;
}

/**
 * [0, numRows) in runs whose work fits one dispatch and whose number does not exceed `most`.
 * Runs are whole blocks of 64 rows, so that their views are aligned.
 * @param widths words of the rows that are bound run by run: their runs fit a binding, and may be shorter than 64 rows
 * where views of fewer are aligned.
 * @throws ConfigError when the fewest rows whose views are aligned are too many.
 */
export function rowRuns(
  gpu: Gpu,
  numRows: number,
  flopsPerRow: number,
  most = Infinity,
  widths: readonly number[] = [],
): Rows[] {
  const widest = maxOf(widths, 1);
  const bound = Math.floor(gpu.limits.maxStorageBufferBindingSize / (4 * widest));
  const limit = Math.min(most, bound);
  const block = limit < ROW_BLOCK ? maxOf(widths.map(alignedRows)) : ROW_BLOCK;
  if (widths.length > 0 && numRows > limit && block > limit) {
    throw new ConfigError(
      `${block} rows of ${widest} values must be bound at once, which ${gpu.facts.name} cannot: its bindings hold ` +
        `${bound} such rows. Make the rows of inputs and outputs multiples of 64 values, or use another adapter.`,
    );
  }
  return runsOf(gpu, numRows, flopsPerRow, limit, block);
}

/** Fewest rows of `width` words that are a multiple of 256 bytes. */
function alignedRows(width: number): number {
  let rows = 1;
  while ((rows * width) % ROW_BLOCK !== 0) rows *= 2;
  return rows;
}

function runsOf(gpu: Gpu, numRows: number, flopsPerRow: number, most: number, block: number): Rows[] {
  const kind = gpu.facts.kind === 'gpu' ? 'gpu' : 'software';
  const mostFlops =
    kind === 'gpu' ? gpu.mostDispatchFlops : Math.min(MOST_SOFTWARE_FLOPS, gpu.mostDispatchFlops);
  const byFlops = Math.floor(mostFlops / Math.max(1, flopsPerRow));
  const wanted = Math.min(most, numRows, MOST_ROWS[kind], byFlops);
  const length = Math.max(block, roundUp(wanted + 1, block) - block);
  if (numRows <= wanted) return numRows === 0 ? [] : [{ first: 0, count: numRows }];
  const runs: Rows[] = [];
  for (let first = 0; first < numRows; first += length) {
    runs.push({ first, count: Math.min(length, numRows - first) });
  }
  return runs;
}
