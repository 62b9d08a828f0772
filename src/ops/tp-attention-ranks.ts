/** The attention block on virtual ranks: each has its own shards and buffers, and only the all-reduce joins them. */
import { at, range } from '../core/math.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { prepareAttention } from '../kernels/attention.ts';
import { type Gemm, prepareGemm } from '../kernels/gemm.ts';
import { prepareRope, ropeTable } from '../kernels/rope.ts';
import { prepareAdd } from '../kernels/rows.ts';
import { f32Tensor, type Tensor, tensor, type TensorData } from '../tensor/tensor.ts';
import { kernelShape, queryBatches } from './attention.ts';
import { checkColumns } from './matmul.ts';
import type { OpInputs, PreparedOp } from './op.ts';
import { kvHeadsOf } from './kv-heads.ts';
import {
  outputDtype,
  rowRuns,
  rowView,
  tensorOf,
  type Workspace,
  weightDtype,
  withWorkspace,
} from './workspace.ts';

export interface BlockSize {
  readonly batch: number;
  readonly length: number;
  readonly modelDim: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** 0: no rotary positions. */
  readonly theta: number;
  readonly tp: number;
}

export function prepareBlock(
  gpu: Gpu,
  inputs: OpInputs,
  size: BlockSize,
  variant?: string,
): Promise<PreparedOp> {
  return withWorkspace(gpu, async (space) => {
    const { batch, length, modelDim, headDim, tp } = size;
    const numRows = batch * length;
    checkColumns('tp-attention', gpu, Math.max(modelDim, size.numHeads * headDim));
    const x = space.activation('x', tensorOf(inputs, 'x'));
    const y = space.output('y', tensorOf(inputs, 'x').shape, outputDtype(inputs));
    const turn = await prepareTurn(space, size);
    const ranks = await Promise.all(
      range(tp).map((rank) => prepareRank(space, inputs, size, rank, { x, turn, variant })),
    );
    const sum = await prepareSum(space, ranks, y, numRows * modelDim);
    const first = at(ranks, 0);
    return space.prepared(first.variant, (commands) => {
      if (numRows === 0) return;
      for (const rank of ranks) rank.record(commands);
      sum(commands);
    });
  });
}

interface Rank {
  readonly variant: string;
  /** What the rank adds to the output. */
  readonly partial: GpuBuffer;
  record(commands: CommandList): void;
}

type Turn = (commands: CommandList, x: GpuBuffer, numHeads: number, y: GpuBuffer) => void;

/** Rotary positions of all heads of a buffer; undefined without. */
async function prepareTurn(space: Workspace, size: BlockSize): Promise<Turn | undefined> {
  const { batch, length, headDim, theta } = size;
  if (theta === 0) return undefined;
  const rope = await prepareRope(space.gpu, { headDim, interleaved: false });
  const table = space.activation('table', f32Tensor([length * headDim], ropeTable(length, headDim, theta)));
  const places = Uint32Array.from({ length: batch * length }, (_, i) => i % length);
  const position = space.integers('position', places);
  return (commands, x, numHeads, y) =>
    rope.record(
      commands,
      { numRows: batch * length, numHeads, xStride: numHeads * headDim, xStart: 0 },
      { x, table, position, y },
    );
}

async function prepareRank(
  space: Workspace,
  inputs: OpInputs,
  size: BlockSize,
  rank: number,
  shared: { x: GpuBuffer; turn: Turn | undefined; variant: string | undefined },
): Promise<Rank> {
  const { gpu } = space;
  const { batch, length, headDim, tp } = size;
  const numRows = batch * length;
  const numHeads = size.numHeads / tp;
  const firstHead = rank * numHeads;
  const kvHeads = kvHeadsOf(size, rank);
  const name = (part: string): string => `rank ${rank} ${part}`;
  const project = (part: string, w: Tensor, from: GpuBuffer): Promise<Projection> =>
    prepareProjection(space, name(part), w, from, numRows);

  const ownHeads = range(numHeads).map((i) => firstHead + i);
  const q = await project('q', headRows(tensorOf(inputs, 'wq'), ownHeads, headDim), shared.x);
  const k = await project('k', headRows(tensorOf(inputs, 'wk'), kvHeads, headDim), shared.x);
  const v = await project('v', headRows(tensorOf(inputs, 'wv'), kvHeads, headDim), shared.x);
  const turned = (part: string, heads: number, as: GpuBuffer): GpuBuffer =>
    shared.turn ? space.scratch(name(part), numRows * heads * headDim) : as;
  const qTurned = turned('turned q', numHeads, q.y);
  const kTurned = turned('turned k', kvHeads.length, k.y);
  const attentionSize = {
    batch,
    numQueries: length,
    numKeys: length,
    numHeads,
    numKvHeads: kvHeads.length,
    headDim,
    causal: true,
    scale: 1 / Math.sqrt(headDim),
  };
  const attention = await prepareAttention(gpu, kernelShape(attentionSize), shared.variant);
  const batches = queryBatches(space, attentionSize);
  const o = space.scratch(name('o'), numRows * numHeads * headDim);
  const columns = headColumns(tensorOf(inputs, 'wo'), firstHead * headDim, numHeads * headDim);
  const out = await project('partial', columns, o);
  return {
    variant: attention.variant,
    partial: out.y,
    record: (commands) => {
      for (const projection of [q, k, v]) projection.record(commands);
      shared.turn?.(commands, q.y, numHeads, qTurned);
      shared.turn?.(commands, k.y, kvHeads.length, kTurned);
      for (const { sequences, ...counts } of batches) {
        attention.record(commands, counts, { q: qTurned, k: kTurned, v: v.y, sequences, o });
      }
      out.record(commands);
    },
  };
}

interface Projection {
  readonly y: GpuBuffer;
  record(commands: CommandList): void;
}

/** y = from w^T over all rows, in dispatches that end soon. */
async function prepareProjection(
  space: Workspace,
  name: string,
  w: Tensor,
  from: GpuBuffer,
  numRows: number,
): Promise<Projection> {
  const [numCols = 0, depth = 0] = w.shape;
  const gemm: Gemm = await prepareGemm(space.gpu, { numRows, numCols, depth, weightDtype: weightDtype(w) });
  const b = space.weight(`${name} weight`, w);
  const y = space.scratch(name, numRows * numCols);
  const most = space.gpu.limits.maxComputeWorkgroupsPerDimension;
  const runs = rowRuns(space.gpu, numRows, 2 * numCols * depth, most);
  return {
    y,
    record: (commands) => {
      for (const rows of runs) {
        gemm.record(commands, rows.count, { a: rowView(from, rows, depth), b, c: rowView(y, rows, numCols) });
      }
    },
  };
}

/** Sums the ranks' partial outputs in rank order. */
async function prepareSum(
  space: Workspace,
  ranks: readonly Rank[],
  y: GpuBuffer,
  count: number,
): Promise<(commands: CommandList) => void> {
  const add = await prepareAdd(space.gpu);
  const totals = ranks.slice(2).map((_, i) => space.scratch(`sum ${i}`, count));
  return (commands) => {
    let total = at(ranks, 0).partial;
    for (let rank = 1; rank < ranks.length; rank++) {
      const to = rank === ranks.length - 1 ? y : at(totals, rank - 1);
      add.record(commands, count, { a: total, b: at(ranks, rank).partial, y: to });
      total = to;
    }
    if (ranks.length === 1) commands.copy(total, y);
  };
}

/** The rows of the named heads, one under another. */
function headRows(w: Tensor, heads: readonly number[], headDim: number): Tensor {
  const [, depth = 0] = w.shape;
  const length = headDim * depth;
  return joined(w, [heads.length * headDim, depth], (to) => {
    heads.forEach((head, i) => to.set(w.data.subarray(head * length, (head + 1) * length), i * length));
  });
}

/** Columns [first, first + count) of every row. */
function headColumns(w: Tensor, first: number, count: number): Tensor {
  const [numRows = 0, width = 0] = w.shape;
  return joined(w, [numRows, count], (to) => {
    for (let row = 0; row < numRows; row++) {
      to.set(w.data.subarray(row * width + first, row * width + first + count), row * count);
    }
  });
}

function joined(like: Tensor, shape: readonly number[], fill: (to: TensorData) => void): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = like.data instanceof Uint16Array ? new Uint16Array(count) : new Float32Array(count);
  fill(data);
  return tensor(like.dtype, shape, data);
}
