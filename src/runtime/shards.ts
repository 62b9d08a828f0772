/** Cutting weights for ranks, on the host. Stored rows are outputs, stored columns are inputs. */
import { ConfigError } from '../core/errors.ts';
import { at, balancedRun, product } from '../core/math.ts';
import type { Layout, Run } from '../layout/layout.ts';
import { weightNames, type WeightSource } from '../model/config.ts';
import { embeddingDtype, gateDtype, storedWeight } from '../model/stored-weights.ts';
import { quantisedColumns, quantisedRows, quantisedStack } from '../tensor/quantised-cuts.ts';
import type { HostWeight, WeightDtype } from '../tensor/quantised.ts';
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

/** One kind of weight that a rank holds. Ranks that ask for the same key hold equal numbers. */
export interface Shard {
  readonly key: string;
  readonly shape: readonly number[];
  /** f32 for norms; the engine's weight dtype for matrices, with the exceptions of `stored-weights.ts`. */
  readonly dtype: WeightDtype;
  make(): HostWeight;
}

export interface LayerShards {
  readonly attentionNorm: Shard;
  /** [(Hl + 2 KVl) Dh, D]: the rank's query, key and value heads. */
  readonly qkv: Shard;
  /** [D, Hl Dh]: the columns of its heads. */
  readonly out: Shard;
  readonly expertNorm: Shard;
  /** [E, D], whole on every rank. */
  readonly gate: Shard;
  /** [El, F, D], El experts of each rank of the run that shares a stack. */
  readonly w1: Shard;
  readonly w3: Shard;
  /** [El, D, F] */
  readonly w2: Shard;
}

export function layerShards(
  weights: WeightSource,
  layout: Layout,
  dtype: WeightDtype,
  layer: number,
  where: { tp: number; ep: number; owners: number },
): LayerShards {
  const { modelDim: D, headDim, expertDim: F, numExperts } = layout.model;
  const heads = scale(layout.headsOf(where.tp), headDim);
  const kvHeads = scale(layout.kvHeadsOf(where.tp), headDim);
  const firstOwner = where.ep - (where.ep % where.owners);
  const own = layout.expertsOf(firstOwner);
  const experts: Run = { first: own.first, count: where.owners * own.count };
  const read = (name: string): HostWeight => storedWeight(weights, name, dtype);
  const norm = (name: string, kind: string): Shard => ({
    key: `weights/l${layer}/${kind}`,
    shape: [D],
    dtype: 'f32',
    make: () => read(name),
  });
  const projection = (which: 'q' | 'k' | 'v' | 'o'): HostWeight => read(weightNames.projection(layer, which));
  const expertStack = (which: 'w1' | 'w2' | 'w3', shape: readonly [number, number]): Shard => ({
    key: `weights/l${layer}/${which}/e${experts.first}-${experts.first + experts.count - 1}`,
    shape: [experts.count, ...shape],
    dtype,
    make: () =>
      stack(
        Array.from({ length: experts.count }, (_, i) =>
          read(weightNames.expert(layer, experts.first + i, which)),
        ),
        [experts.count, ...shape],
      ),
  });
  const qkvRows = heads.count + 2 * kvHeads.count;
  return {
    attentionNorm: norm(weightNames.attentionNorm(layer), 'attention-norm'),
    qkv: {
      key: `weights/l${layer}/qkv/tp${where.tp}`,
      shape: [qkvRows, D],
      dtype,
      make: () =>
        stack(
          [
            cutRows(projection('q'), heads),
            cutRows(projection('k'), kvHeads),
            cutRows(projection('v'), kvHeads),
          ],
          [qkvRows, D],
        ),
    },
    out: {
      key: `weights/l${layer}/out/tp${where.tp}`,
      shape: [D, heads.count],
      dtype,
      make: () => cutColumns(projection('o'), heads),
    },
    expertNorm: norm(weightNames.expertNorm(layer), 'expert-norm'),
    gate: {
      key: `weights/l${layer}/gate`,
      shape: [numExperts, D],
      dtype: gateDtype(dtype),
      make: () => read(weightNames.gate(layer)),
    },
    w1: expertStack('w1', [F, D]),
    w3: expertStack('w3', [F, D]),
    w2: expertStack('w2', [D, F]),
  };
}

export interface EndShards {
  /** [V, D], whole on every rank of the first stage. */
  readonly embedding: Shard;
  readonly finalNorm: Shard;
  /** Rows of the vocabulary that a TP member of the last stage scores. */
  readonly lmHead: (tp: number) => Shard;
}

export function vocabularyOf(layout: Layout, tp: number): Run {
  const [first, count] = balancedRun(layout.model.vocabSize, layout.spec.tp, tp);
  return { first, count };
}

export function endShards(weights: WeightSource, layout: Layout, dtype: WeightDtype): EndShards {
  const { modelDim: D, vocabSize } = layout.model;
  const read = (name: string): HostWeight => storedWeight(weights, name, dtype);
  return {
    embedding: {
      key: 'weights/embedding',
      shape: [vocabSize, D],
      dtype: embeddingDtype(dtype),
      make: () => read(weightNames.embedding),
    },
    finalNorm: {
      key: 'weights/final-norm',
      shape: [D],
      dtype: 'f32',
      make: () => read(weightNames.finalNorm),
    },
    lmHead: (tp) => {
      const rows = vocabularyOf(layout, tp);
      return {
        key: `weights/lm-head/tp${tp}`,
        shape: [rows.count, D],
        dtype,
        make: () => cutRows(read(weightNames.lmHead), rows),
      };
    },
  };
}

function scale({ first, count }: Run, by: number): Run {
  return { first: first * by, count: count * by };
}
