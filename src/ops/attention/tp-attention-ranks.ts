/** The attention block on virtual ranks: each has its own shards and buffers, and only the all-reduce joins them. */
import { oneDeviceTransport } from '../../collectives/one-device.ts';
import type { SymmetricArray } from '../../collectives/symmetric.ts';
import { ConfigError } from '../../core/errors.ts';
import { at, range } from '../../core/math.ts';
import type { Bindable, GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { prepareAttention } from '../../kernels/attention/attention.ts';
import { prepareGemm } from '../../kernels/dense/gemm.ts';
import { prepareRope, ropeTable } from '../../kernels/attention/rope.ts';
import { f32Tensor, type Tensor, tensor, type TensorData } from '../../tensor/tensor.ts';
import { kernelShape, scratchOf } from './attention.ts';
import { queryBatches, sequenceWords } from './batches.ts';
import { checkColumns } from '../dense/matmul.ts';
import type { OpInputs, PreparedOp } from '../op.ts';
import { kvHeadsOf } from './kv-heads.ts';
import { rowRuns } from '../row-runs.ts';
import { outputDtype, rowView, tensorOf, type OpBuffers, weightDtype, withBuffers } from '../op-buffers.ts';

/** Elements of one workgroup of the all-reduce. */
const ALL_REDUCE_GROUP = 64;

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
  return withBuffers(gpu, async (space) => {
    const { batch, length, modelDim, headDim, tp } = size;
    const numRows = batch * length;
    checkColumns('tp-attention', gpu, Math.max(modelDim, size.numHeads * headDim));
    const x = space.activation('x', tensorOf(inputs, 'x'));
    const y = space.output('y', tensorOf(inputs, 'x').shape, outputDtype(inputs));
    const turn = await prepareTurn(space, size);
    const count = numRows * modelDim;
    const partial = tp === 1 ? undefined : space.symmetric('partial', tp, count);
    const sum = partial && (await prepareSum(space, partial, y, count));
    const ranks = await Promise.all(
      range(tp).map((rank) =>
        prepareRank(space, inputs, size, rank, { x, turn, variant, y: partial?.part(rank) ?? y }),
      ),
    );
    return space.prepared(at(ranks, 0).variant, (commands) => {
      if (numRows === 0) return;
      for (const rank of ranks) rank.record(commands);
      sum?.(commands);
    });
  });
}

/** What a rank is given: the input, and the place of what it adds to the output. */
interface Shared {
  readonly x: GpuBuffer;
  readonly turn: Turn | undefined;
  readonly variant: string | undefined;
  readonly y: Bindable;
}

interface Rank {
  readonly variant: string;
  record(commands: CommandList): void;
}

type Turn = (commands: CommandList, x: GpuBuffer, numHeads: number, y: GpuBuffer) => void;

/** Rotary positions of all heads of a buffer; undefined without. */
async function prepareTurn(space: OpBuffers, size: BlockSize): Promise<Turn | undefined> {
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
  space: OpBuffers,
  inputs: OpInputs,
  size: BlockSize,
  rank: number,
  shared: Shared,
): Promise<Rank> {
  const { gpu } = space;
  const { batch, length, headDim, tp } = size;
  const numRows = batch * length;
  const numHeads = size.numHeads / tp;
  const firstHead = rank * numHeads;
  const kvHeads = kvHeadsOf(size, rank);
  const name = (part: string): string => `rank ${rank} ${part}`;
  const into = (part: string, heads: number): GpuBuffer =>
    space.scratch(name(part), numRows * heads * headDim);
  const project = (part: string, w: Tensor, x: GpuBuffer, y: Bindable): Promise<(c: CommandList) => void> =>
    prepareProjection(space, name(part), w, { x, y, numRows });

  const ownHeads = range(numHeads).map((i) => firstHead + i);
  const [q, k, v] = [into('q', numHeads), into('k', kvHeads.length), into('v', kvHeads.length)];
  const projections = await Promise.all([
    project('wq', headRows(tensorOf(inputs, 'wq'), ownHeads, headDim), shared.x, q),
    project('wk', headRows(tensorOf(inputs, 'wk'), kvHeads, headDim), shared.x, k),
    project('wv', headRows(tensorOf(inputs, 'wv'), kvHeads, headDim), shared.x, v),
  ]);
  const qTurned = shared.turn ? into('turned q', numHeads) : q;
  const kTurned = shared.turn ? into('turned k', kvHeads.length) : k;
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
  // Its q, k, v and o are bound whole.
  const batches = queryBatches(space, attentionSize, sequenceWords(attentionSize, 0));
  const scratch = scratchOf(space, attention, batch * length);
  const o = into('o', numHeads);
  const columns = headColumns(tensorOf(inputs, 'wo'), firstHead * headDim, numHeads * headDim);
  const recordOut = await project('wo', columns, o, shared.y);
  return {
    variant: attention.variant,
    record: (commands) => {
      for (const recordProjection of projections) recordProjection(commands);
      shared.turn?.(commands, q, numHeads, qTurned);
      shared.turn?.(commands, k, kvHeads.length, kTurned);
      for (const { sequences, numSequences, maxQueries } of batches) {
        const counts = { numSequences, maxQueries };
        attention.record(commands, counts, { q: qTurned, k: kTurned, v, sequences, o, scratch });
      }
      recordOut(commands);
    },
  };
}

/** y = x w^T over all rows, in dispatches that end soon. */
async function prepareProjection(
  space: OpBuffers,
  name: string,
  w: Tensor,
  t: { readonly x: GpuBuffer; readonly y: Bindable; readonly numRows: number },
): Promise<(commands: CommandList) => void> {
  const { x, y, numRows } = t;
  const [numCols = 0, depth = 0] = w.shape;
  const gemm = await prepareGemm(space.gpu, { numRows, numCols, depth, weightDtype: weightDtype(w) });
  const b = space.weight(name, w);
  const most = space.gpu.limits.maxComputeWorkgroupsPerDimension;
  const runs = rowRuns(space.gpu, numRows, 2 * numCols * depth, most);
  return (commands) => {
    for (const rows of runs) {
      gemm.record(commands, rows.count, { a: rowView(x, rows, depth), b, c: rowView(y, rows, numCols) });
    }
  };
}

/** Sums the ranks' parts into a part of each; y is the first rank's. */
async function prepareSum(
  space: OpBuffers,
  partial: SymmetricArray,
  y: GpuBuffer,
  count: number,
): Promise<(commands: CommandList) => void> {
  const { gpu } = space;
  const tp = partial.numParts;
  const most = ALL_REDUCE_GROUP * gpu.limits.maxComputeWorkgroupsPerDimension;
  if (count > most) {
    throw new ConfigError(
      `tp-attention: B * S * D is ${count}, but an all-reduce sums at most ${most} elements on ${gpu.facts.name}. ` +
        `Give fewer tokens at once, or tp=1.`,
    );
  }
  const transport = await oneDeviceTransport(gpu);
  const groups = space.groups('tp', [range(tp)]);
  const total = space.symmetric('sum', tp, count);
  return (commands) => {
    transport.allReduce(partial, total, groups, count).record(commands);
    commands.copy(total.part(0), y, 4 * count);
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
