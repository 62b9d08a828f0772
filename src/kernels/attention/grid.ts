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
 * The grid in pieces of at most `most` workgroups in each dimension; a block stays whole. One piece as a rule.
 * 5 queries, a block of 1 query and 2 workgroups, most 4: pieces of 2, 2 and 1 queries.
 */
export function gridPieces(block: QueryBlock, size: GridSize, most: number): GridPiece[] {
  const { maxQueries, numHeads, numSequences } = size;
  const queries = Math.max(1, Math.floor(most / block.workgroups)) * block.queries;
  const heads = most * (block.heads ?? 1);
  const pieces: GridPiece[] = [];
  for (let firstSequence = 0; firstSequence < numSequences; firstSequence += most) {
    for (let firstHead = 0; firstHead < numHeads; firstHead += heads) {
      for (let firstQuery = 0; firstQuery < maxQueries; firstQuery += queries) {
        const part = {
          maxQueries: Math.min(queries, maxQueries - firstQuery),
          numHeads: Math.min(heads, numHeads - firstHead),
          numSequences: Math.min(most, numSequences - firstSequence),
        };
        pieces.push({ first: { firstQuery, firstHead, firstSequence }, grid: wholeGrid(block, part) });
      }
    }
  }
  return pieces;
}
