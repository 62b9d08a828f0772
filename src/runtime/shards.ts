/** Cutting weights for ranks, on the host. Stored rows are outputs, stored columns are inputs. */
import { ConfigError } from '../core/errors.ts';
import { at, product } from '../core/math.ts';
import type { Layout, Run } from '../layout/layout.ts';
import {
  type EndShards,
  endShardShapes,
  type EndsPlan,
  layerCuts,
  type LayerShards,
  layerShardShapes,
  type ShardPlace,
  type ShardShape,
} from '../memory/shards.ts';
import { weightNames, type WeightSource } from '../model/config.ts';
import { storedRows, storedWeight, type WeightDtypes } from '../model/stored-weights.ts';
import { nameOf, type Part } from '../model/weights/parts.ts';
import { quantisedColumns, quantisedRows, quantisedStack } from '../tensor/quantised-cuts.ts';
import type { HostWeight } from '../tensor/quantised.ts';
import { tensor, type Tensor, type TensorData } from '../tensor/tensor.ts';

/** Rows [first, first + count) of a matrix. */
export function cutRows(matrix: HostWeight, { first, count }: Run): HostWeight {
  if ('format' in matrix) return quantisedRows(matrix, { first, count });
  const width = at(matrix.shape, 1);
  return tensor(matrix.dtype, [count, width], matrix.data.slice(first * width, (first + count) * width));
}

/** Columns [first, first + count) of a matrix. @throws ConfigError when blocks that share a scale are cut apart. */
export function cutColumns(matrix: HostWeight, { first, count }: Run): HostWeight {
  if ('format' in matrix) return quantisedColumns(matrix, { first, count });
  const height = at(matrix.shape, 0);
  const width = at(matrix.shape, 1);
  const data = emptyLike(matrix.data, height * count);
  for (let row = 0; row < height; row++) {
    data.set(matrix.data.subarray(row * width + first, row * width + first + count), row * count);
  }
  return tensor(matrix.dtype, [height, count], data);
}

/** Elements [first, first + count) of a vector. */
function cutVector(vector: HostWeight, { first, count }: Run): HostWeight {
  if ('format' in vector) return vector;
  return tensor(vector.dtype, [count], vector.data.slice(first, first + count));
}

/** Tensors of one shape and dtype, one after the other along a new or the first dim. */
export function stack(parts: readonly HostWeight[], shape: readonly number[]): HostWeight {
  const quantised = parts.filter((part) => 'format' in part);
  if (quantised.length > 0) return quantisedStack(quantised, shape);
  return stackFloats(
    parts.filter((part): part is Tensor => !('format' in part)),
    shape,
  );
}

function stackFloats(parts: readonly Tensor[], shape: readonly number[]): Tensor {
  const dtype = at(parts, 0).dtype;
  const data = emptyLike(at(parts, 0).data, product(shape));
  let offset = 0;
  for (const part of parts) {
    if (part.dtype !== dtype)
      throw new ConfigError(`Tensors of ${dtype} and ${part.dtype} cannot lie in one buffer.`);
    data.set(part.data, offset);
    offset += part.data.length;
  }
  return tensor(dtype, shape, data);
}

function emptyLike(data: TensorData, length: number): TensorData {
  if (data instanceof Uint16Array) return new Uint16Array(length);
  return new Float32Array(length);
}

/** A shard and its numbers: parts that lie one after the other, each made of some tensors. */
export interface Shard extends ShardShape {
  readonly parts: readonly ShardPart[];
}

export interface ShardPart {
  /** What `make` reads. */
  readonly names: readonly string[];
  /** Rows of the shard, whole. */
  make(): HostWeight;
  /** What it is where nothing is made: rows of a tensor, all when `rows` is absent. */
  readonly straight?: { readonly name: string; readonly rows?: Run };
}

export function layerShards(
  weights: WeightSource,
  layout: Layout,
  dtypes: WeightDtypes,
  layer: number,
  where: ShardPlace,
): LayerShards<Shard> {
  const { heads, kvHeads, experts } = layerCuts(layout, where);
  const { headDim, attention } = layout.model;
  const shapes = layerShardShapes(layout, dtypes, layer, where);
  const read = (name: string): HostWeight => storedWeight(weights, name, dtypes);
  const part = (which: Part, expert = 0): ShardPart => {
    const name = nameOf(which, layer, expert);
    return { names: [name], make: () => read(name), straight: { name } };
  };
  const slice = (which: Part, rows: Run): ShardPart => {
    const name = nameOf(which, layer);
    const make = (): HostWeight => {
      const whole = read(name);
      return whole.shape.length === 1 ? cutVector(whole, rows) : cutRows(whole, rows);
    };
    return { names: [name], make, straight: { name, rows } };
  };
  const columns = (which: Part, run: Run): ShardPart => {
    const name = nameOf(which, layer);
    return { names: [name], make: () => cutColumns(read(name), run) };
  };
  const ofExperts = (...which: readonly Part[]): ShardPart[] =>
    experts.flatMap((expert) => which.map((w) => part(w, expert)));
  const headRun = { first: heads.first / headDim, count: heads.count / headDim };
  const unit = layout.model.dense?.layers.includes(layer) ? 'dense' : 'shared';
  const zeros: ShardPart = {
    names: [],
    make: () => tensor('f32', [layout.model.modelDim], new Float32Array(layout.model.modelDim)),
  };
  const made: Record<keyof LayerShards, () => readonly ShardPart[]> = {
    attentionNorm: () => [part('attentionNorm')],
    qkv: () => [slice('q', heads), slice('k', kvHeads), slice('v', kvHeads)],
    qkvBias: () => [slice('qBias', heads), slice('kBias', kvHeads), slice('vBias', kvHeads)],
    qkNorm: () =>
      attention?.qkNorm === 'width'
        ? [slice('qNorm', heads), slice('kNorm', kvHeads)]
        : [part('qNorm'), part('kNorm')],
    sinks: () => [slice('sinks', headRun)],
    out: () => [heads.count === headDim * layout.model.numHeads ? part('o') : columns('o', heads)],
    outBias: () => [where.tp === 0 ? part('oBias') : zeros],
    expertNorm: () => [part('expertNorm')],
    gate: () => [part('gate')],
    gateBias: () => [part('gateBias')],
    correction: () => [part('correction')],
    w1: () => ofExperts('w1'),
    w3: () => ofExperts('w3'),
    w2: () => ofExperts('w2'),
    upBias: () => ofExperts('b1', 'b3'),
    downBias: () => ofExperts('b2'),
    unitUp: () => [
      ...[part(`${unit}W1`), part(`${unit}W3`)],
      ...(unit === 'shared' && layout.model.shared?.gated ? [part('sharedGate')] : []),
    ],
    unitDown: () => [part(`${unit}W2`)],
  };
  const entries = Object.entries(shapes as unknown as Record<keyof LayerShards, ShardShape>);
  return Object.fromEntries(
    entries.map(([kind, shape]) => [kind, { ...shape, parts: made[kind as keyof LayerShards]() }]),
  ) as unknown as LayerShards<Shard>;
}

export function endShards(weights: WeightSource, plan: EndsPlan): EndShards<Shard> {
  const { layout, dtypes, vocabulary } = plan;
  const shapes = endShardShapes(plan);
  const { vocabSize } = layout.model;
  const { embedding, finalNorm, lmHead } = weightNames;
  const whole = (shape: ShardShape, name: string): Shard => {
    const make = (): HostWeight => storedWeight(weights, name, dtypes);
    return { ...shape, parts: [{ names: [name], make, straight: { name } }] };
  };
  const rowsOf = (shape: ShardShape, name: string, rows: Run): Shard => {
    if (rows.count === vocabSize) return whole(shape, name);
    const make = (): HostWeight => storedRows(weights, name, dtypes, rows);
    return { ...shape, parts: [{ names: [name], make, straight: { name, rows } }] };
  };
  const inPieces = (pieces: readonly ShardShape[], name: string, runs: readonly Run[]): Shard[] =>
    pieces.map((shape, i) => rowsOf(shape, name, at(runs, i)));
  return {
    embedding: inPieces(shapes.embedding, embedding, vocabulary.embedding),
    finalNorm: whole(shapes.finalNorm, finalNorm),
    lmHead: shapes.lmHead.map((pieces, tp) => inPieces(pieces, lmHead, at(vocabulary.head, tp))),
  };
}
