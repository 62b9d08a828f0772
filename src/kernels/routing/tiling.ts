/** What a plan leaves for the grouped GEMMs: how rows are cut into tiles, and the grids of both products. */
import { GRID_WORDS } from '../../core/plan-sizes.ts';
import { type Bindable, type BufferView, viewOf } from '../../gpu/buffer.ts';

/** How the grouped GEMM cuts rows into tiles, and how wide its two grids are. */
export interface Tiling {
  readonly tileRows: number;
  /** Entries of the tile list. */
  readonly tileCapacity: number;
  readonly columnGroups: number;
  readonly downColumnGroups: number;
}

const GRID_BYTES = 4 * GRID_WORDS;

/** The indirect grids of the up and the down projection: the halves of the 8 u32 that a plan writes. */
export function gridsOf(grid: Bindable): { readonly up: BufferView; readonly down: BufferView } {
  const { buffer, byteOffset } = viewOf(grid);
  const half = GRID_BYTES / 2;
  return { up: buffer.view(byteOffset, half), down: buffer.view(byteOffset + half, half) };
}
