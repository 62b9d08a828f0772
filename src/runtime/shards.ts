/** Cutting weights for ranks, on the host. Stored rows are outputs, stored columns are inputs. */
import { ConfigError } from '../core/errors.ts';
import { at, product, range } from '../core/math.ts';
import type { Layout, Run } from '../layout/layout.ts';
import { vocabularyOf } from '../memory/arrays.ts';
import {
  type EndShards,
  endShardShapes,
  layerCuts,
  type LayerShards,
  layerShardShapes,
  type ShardPlace,
  type ShardShape,
} from '../memory/shards.ts';
import { weightNames, type WeightSource } from '../model/config.ts';
import { storedWeight } from '../model/stored-weights.ts';
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

/** A shard and its numbers. */
export interface Shard extends ShardShape {
  make(): HostWeight;
}

export function layerShards(
  weights: WeightSource,
  layout: Layout,
  dtype: WeightDtype,
  layer: number,
  where: ShardPlace,
): LayerShards<Shard> {
  const { heads, kvHeads, experts } = layerCuts(layout, where);
  const shapes = layerShardShapes(layout, dtype, layer, where);
  const read = (name: string): HostWeight => storedWeight(weights, name, dtype);
  const whole = (shape: ShardShape, name: string): Shard => ({ ...shape, make: () => read(name) });
  const projection = (which: 'q' | 'k' | 'v' | 'o'): HostWeight => read(weightNames.projection(layer, which));
  const expertStack = (which: 'w1' | 'w2' | 'w3'): Shard => ({
    ...shapes[which],
    make: () =>
      stack(
        range(experts.count).map((i) => read(weightNames.expert(layer, experts.first + i, which))),
        shapes[which].shape,
      ),
  });
  return {
    attentionNorm: whole(shapes.attentionNorm, weightNames.attentionNorm(layer)),
    qkv: {
      ...shapes.qkv,
      make: () =>
        stack(
          [
            cutRows(projection('q'), heads),
            cutRows(projection('k'), kvHeads),
            cutRows(projection('v'), kvHeads),
          ],
          shapes.qkv.shape,
        ),
    },
    out: { ...shapes.out, make: () => cutColumns(projection('o'), heads) },
    expertNorm: whole(shapes.expertNorm, weightNames.expertNorm(layer)),
    gate: whole(shapes.gate, weightNames.gate(layer)),
    w1: expertStack('w1'),
    w3: expertStack('w3'),
    w2: expertStack('w2'),
  };
}

export function endShards(weights: WeightSource, layout: Layout, dtype: WeightDtype): EndShards<Shard> {
  const shapes = endShardShapes(layout, dtype);
  const read = (name: string): HostWeight => storedWeight(weights, name, dtype);
  return {
    embedding: { ...shapes.embedding, make: () => read(weightNames.embedding) },
    finalNorm: { ...shapes.finalNorm, make: () => read(weightNames.finalNorm) },
    lmHead: (tp) => ({
      ...shapes.lmHead(tp),
      make: () => cutRows(read(weightNames.lmHead), vocabularyOf(layout, tp)),
    }),
  };
}
