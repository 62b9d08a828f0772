/** Grids of attention: blocks of queries, heads and sequences, in pieces where an adapter takes no more workgroups at once. */
import { ceilDiv } from '../../core/math.ts';
import type { Grid } from '../../gpu/kernel.ts';

/** Queries that share a row of workgroups along x, and how many workgroups that row has. */
export interface QueryBlock {
  readonly queries: number;
  readonly workgroups: number;
  /** Heads of a workgroup; one by default. */
  readonly heads?: number;
}

export interface GridSize {
  readonly maxQueries: number;
  readonly numHeads: number;
  readonly numSequences: number;
}

export interface GridPiece {
  /** Where the piece begins, as the kernels' parameters. */
  readonly first: {
    readonly firstQuery: number;
    readonly firstHead: number;
    readonly firstSequence: number;
  };
  readonly grid: Grid;
}

/** x: blocks of queries, y: heads, z: sequences. */
export function wholeGrid(block: QueryBlock, size: GridSize): Grid {
  const { queries, workgroups, heads = 1 } = block;
  return [ceilDiv(size.maxQueries, queries) * workgroups, ceilDiv(size.numHeads, heads), size.numSequences];
}

/**
 * The grid in pieces of at most `most` workgroups in each dimension, and `mostInAll` of them; a block stays whole. One piece
 * as a rule. 5 queries, a block of 1 query and 2 workgroups, most 4: pieces of 2, 2 and 1 queries.
 */
export function gridPieces(
  block: QueryBlock,
  size: GridSize,
  most: number,
  mostInAll = Infinity,
): GridPiece[] {
  const { maxQueries, numHeads, numSequences } = size;
  const [x, y] = wholeGrid(block, size);
  // Of one dimension, beside so many workgroups of those before it.
  const within = (before: number): number => Math.max(1, Math.min(most, Math.floor(mostInAll / before)));
  const queries = Math.max(1, Math.floor(within(1) / block.workgroups)) * block.queries;
  const heads = within(x) * (block.heads ?? 1);
  const sequences = within(x * y);
  const pieces: GridPiece[] = [];
  for (let firstSequence = 0; firstSequence < numSequences; firstSequence += sequences) {
    for (let firstHead = 0; firstHead < numHeads; firstHead += heads) {
      for (let firstQuery = 0; firstQuery < maxQueries; firstQuery += queries) {
        const part = {
          maxQueries: Math.min(queries, maxQueries - firstQuery),
          numHeads: Math.min(heads, numHeads - firstHead),
          numSequences: Math.min(sequences, numSequences - firstSequence),
        };
        pieces.push({ first: { firstQuery, firstHead, firstSequence }, grid: wholeGrid(block, part) });
      }
    }
  }
  return pieces;
}
