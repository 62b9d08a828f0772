/** RMSNorm of queries and keys before they turn: of each head, or over all heads of all ranks; and a clamp. */
import { invariant } from '../../core/errors.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { spread } from '../variants.ts';

const squares = defineKernel({
  shader: 'norm/qk-squares.wgsl',
  spec: { WG: 64 },
  params: { numRows: 'u32', queryWidth: 'u32', keyWidth: 'u32', keyShare: 'f32' },
  buffers: { qkv_TC: 'read', squares_T2: 'write' },
  grid: (_s, p) => spread(2 * p.numRows),
});

const norm = defineKernel({
  shader: 'norm/qk-norm.wgsl',
  spec: { WG: 64, NORM: true, WIDTH: false, CLIP: false },
  params: {
    numRows: 'u32',
    numHeads: 'u32',
    numKvHeads: 'u32',
    headDim: 'u32',
    queryWidth: 'u32',
    keyWidth: 'u32',
    eps: 'f32',
    clip: 'f32',
  },
  buffers: { qkv_TC: 'readwrite', weight_C: 'read', squares_T2: 'read' },
  grid: (s, p) => spread(p.numRows * (p.numHeads + (s.CLIP ? 2 : 1) * p.numKvHeads)),
});

/** Heads of one rank, and of the whole model where the norm is over all of them. */
export interface QkNormShape {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** None: only the clamp. */
  readonly over: 'head' | 'width' | 'none';
  readonly eps: number;
  readonly clip?: number | undefined;
  readonly all: { readonly numHeads: number; readonly numKvHeads: number };
  /** Ranks that hold each key head. */
  readonly keyCopies: number;
}

/** A compiled norm of queries and keys, to be recorded any number of times. */
export interface QkNorm {
  /** Sums of squares of one rank's heads, [T, 2], to be added up over the ranks of its group; of `width` only. */
  recordSquares(commands: CommandList, numRows: number, t: { qkv: Bindable; squares: Bindable }): void;
  /** In place. `weight`: [q | k] of one head each, or of all the rank's. `squares`: the sums over all ranks. */
  record(
    commands: CommandList,
    numRows: number,
    t: { qkv: Bindable; weight?: Bindable | undefined; squares?: Bindable | undefined },
    fallback: Bindable,
  ): void;
}

export async function prepareQkNorm(gpu: Gpu, shape: QkNormShape): Promise<QkNorm> {
  const { numHeads, numKvHeads, headDim, over, eps, clip, all, keyCopies } = shape;
  const WG = gpu.rowLanes;
  const [sums, kernel] = await Promise.all([
    gpu.kernel(squares, { WG }),
    gpu.kernel(norm, { WG, NORM: over !== 'none', WIDTH: over === 'width', CLIP: clip !== undefined }),
  ]);
  const fixed = {
    ...{ numHeads, numKvHeads, headDim, eps, clip: clip ?? 0 },
    ...{ queryWidth: all.numHeads * headDim, keyWidth: all.numKvHeads * headDim },
  };
  const own = { queryWidth: numHeads * headDim, keyWidth: numKvHeads * headDim, keyShare: 1 / keyCopies };
  return {
    recordSquares: (commands, numRows, { qkv, squares: to }) => {
      commands.dispatch(sums, { numRows, ...own }, { qkv_TC: qkv, squares_T2: to });
    },
    record: (commands, numRows, { qkv, weight, squares: of }, fallback) => {
      invariant(
        (of !== undefined) === (over === 'width'),
        () => 'sums of squares are of a norm over all heads',
      );
      const weights = weight ?? fallback;
      commands.dispatch(
        kernel,
        { numRows, ...fixed },
        { qkv_TC: qkv, weight_C: weights, squares_T2: of ?? weights },
      );
    },
  };
}
