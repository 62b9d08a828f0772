/** Which parts of the weights a rank holds: names, shapes and dtypes, without the numbers. */
import type { Layout, Run } from '../layout/layout.ts';
import { embeddingDtype, gateDtype } from '../model/stored-weights.ts';
import type { WeightDtype } from '../tensor/quantised.ts';
import { vocabularyOf } from './arrays.ts';

/** One kind of weight that a rank holds. Ranks that ask for the same key hold equal numbers. */
export interface ShardShape {
  readonly key: string;
  readonly shape: readonly number[];
  /** f32 for norms; the engine's weight dtype for matrices, with the exceptions of `stored-weights.ts`. */
  readonly dtype: WeightDtype;
}

export interface LayerShards<S = ShardShape> {
  readonly attentionNorm: S;
  /** [(Hl + 2 KVl) Dh, D]: the rank's query, key and value heads. */
  readonly qkv: S;
  /** [D, Hl Dh]: the columns of its heads. */
  readonly out: S;
  readonly expertNorm: S;
  /** [E, D], whole on every rank. */
  readonly gate: S;
  /** [El, F, D], El experts of each rank of the run that shares a stack. */
  readonly w1: S;
  readonly w3: S;
  /** [El, D, F] */
  readonly w2: S;
}

export interface EndShards<S = ShardShape> {
  /** [V, D], whole on every rank of the first stage. */
  readonly embedding: S;
  readonly finalNorm: S;
  /** Rows of the vocabulary that a TP member of the last stage scores. */
  readonly lmHead: (tp: number) => S;
}

/** A rank's place in its groups, and how many neighbours share a stack of experts. */
export interface ShardPlace {
  readonly tp: number;
  readonly ep: number;
  readonly owners: number;
}

/** What a layer's weights are cut by: runs of rows, in heads times their size, and of experts. */
export interface LayerCuts {
  readonly heads: Run;
  readonly kvHeads: Run;
  readonly experts: Run;
}

export function layerCuts(layout: Layout, { tp, ep, owners }: ShardPlace): LayerCuts {
  const { headDim } = layout.model;
  const scale = ({ first, count }: Run): Run => ({ first: first * headDim, count: count * headDim });
  const own = layout.expertsOf(ep - (ep % owners));
  return {
    heads: scale(layout.headsOf(tp)),
    kvHeads: scale(layout.kvHeadsOf(tp)),
    experts: { first: own.first, count: owners * own.count },
  };
}

export function layerShardShapes(
  layout: Layout,
  dtype: WeightDtype,
  layer: number,
  where: ShardPlace,
): LayerShards {
  const { modelDim: D, expertDim: F, numExperts } = layout.model;
  const { heads, kvHeads, experts } = layerCuts(layout, where);
  const of = (kind: string, shape: readonly number[], stored = dtype): ShardShape => ({
    key: `weights/l${layer}/${kind}`,
    shape,
    dtype: stored,
  });
  const stack = (which: string, shape: readonly number[]): ShardShape =>
    of(`${which}/e${experts.first}-${experts.first + experts.count - 1}`, [experts.count, ...shape]);
  return {
    attentionNorm: of('attention-norm', [D], 'f32'),
    qkv: of(`qkv/tp${where.tp}`, [heads.count + 2 * kvHeads.count, D]),
    out: of(`out/tp${where.tp}`, [D, heads.count]),
    expertNorm: of('expert-norm', [D], 'f32'),
    gate: of('gate', [numExperts, D], gateDtype(dtype)),
    w1: stack('w1', [F, D]),
    w3: stack('w3', [F, D]),
    w2: stack('w2', [D, F]),
  };
}

export function endShardShapes(layout: Layout, dtype: WeightDtype): EndShards {
  const { modelDim: D, vocabSize } = layout.model;
  return {
    embedding: { key: 'weights/embedding', shape: [vocabSize, D], dtype: embeddingDtype(dtype) },
    finalNorm: { key: 'weights/final-norm', shape: [D], dtype: 'f32' },
    lmHead: (tp) => ({
      key: `weights/lm-head/tp${tp}`,
      shape: [vocabularyOf(layout, tp).count, D],
      dtype,
    }),
  };
}
