/** Which parts of the weights a rank holds: names, shapes and dtypes, without the numbers. */
import { range } from '../core/math.ts';
import type { Layout, Run } from '../layout/layout.ts';
import { isDense } from '../model/config.ts';
import type { WeightDtypes } from '../model/stored-weights.ts';
import type { WeightDtype } from '../tensor/quantised.ts';
import { attentionShapes, expertShapes, gateShape, unitShapes, vocabularyShape } from './shapes.ts';
import type { Vocabulary } from './vocabulary.ts';

/** One kind of weight that a rank holds. Ranks that ask for the same key hold equal numbers. */
export interface ShardShape {
  readonly key: string;
  readonly shape: readonly number[];
  /** f32 for vectors; what `WeightDtypes` says for matrices. */
  readonly dtype: WeightDtype;
}

/** What every layer has, and what those have whose model has it. */
export interface LayerShards<S = ShardShape> {
  readonly attentionNorm: S;
  /** [(Hl + 2 KVl) Dh, D]: the rank's query, key and value heads. */
  readonly qkv: S;
  /** [(Hl + 2 KVl) Dh] */
  readonly qkvBias?: S;
  /** [2 Dh], or of a norm over all heads [(Hl + KVl) Dh]: weights for queries, then keys. */
  readonly qkNorm?: S;
  /** [Hl] */
  readonly sinks?: S;
  /** [D, Hl Dh]: the columns of its heads. */
  readonly out: S;
  /** [D]; zeros on all members of a TP group but the first, since their outputs are added up. */
  readonly outBias?: S;
  readonly expertNorm: S;
  /** [E, D], whole on every rank; absent of a layer without experts, as all that follow but the unit's. */
  readonly gate?: S;
  /** [E] */
  readonly gateBias?: S;
  readonly correction?: S;
  /** [El, F, D], El experts of each rank of the run that shares a stack. */
  readonly w1?: S;
  readonly w3?: S;
  /** [El, D, F] */
  readonly w2?: S;
  /** [El, 2 F], [El, D] */
  readonly upBias?: S;
  readonly downBias?: S;
  /** [2 F', D], or one row more for the logit of a shared expert; whole on every rank, which has its share of the tokens. */
  readonly unitUp?: S;
  /** [D, F'] */
  readonly unitDown?: S;
}

export interface EndShards<S = ShardShape> {
  /** [V, D], all of it on every rank of the first stage, in pieces that can be bound. */
  readonly embedding: readonly S[];
  readonly finalNorm: S;
  /** Rows of the vocabulary that a TP member of the last stage scores, in pieces again. */
  readonly lmHead: readonly (readonly S[])[];
}

/** What decides how the ends of a model lie on a device. */
export interface EndsPlan {
  readonly layout: Layout;
  readonly dtypes: WeightDtypes;
  readonly vocabulary: Vocabulary;
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
  /** In the order of their slots. */
  readonly experts: readonly number[];
}

export function layerCuts(layout: Layout, { tp, ep, owners }: ShardPlace): LayerCuts {
  const { headDim } = layout.model;
  const scale = ({ first, count }: Run): Run => ({ first: first * headDim, count: count * headDim });
  return {
    heads: scale(layout.headsOf(tp)),
    kvHeads: scale(layout.kvHeadsOf(tp)),
    experts: range(owners).flatMap((i) => layout.expertsOf(ep - (ep % owners) + i)),
  };
}

/** '0-3' of neighbours, '0-1+4' else. */
function runsOf(experts: readonly number[]): string {
  const runs: { first: number; last: number }[] = [];
  for (const expert of experts) {
    const run = runs.at(-1);
    if (run?.last === expert - 1) run.last = expert;
    else runs.push({ first: expert, last: expert });
  }
  if (runs.length === 1) return `${runs[0]?.first}-${runs[0]?.last}`;
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join('+');
}

export function layerShardShapes(
  layout: Layout,
  dtypes: WeightDtypes,
  layer: number,
  where: ShardPlace,
): LayerShards {
  const { model } = layout;
  const {
    modelDim: D,
    expertDim: F,
    headDim,
    numExperts,
    attention = {},
    router = {},
    shared,
    dense,
  } = model;
  const { heads, kvHeads, experts } = layerCuts(layout, where);
  const { tp } = where;
  const of = (kind: string, shape: readonly number[], dtype: WeightDtype): ShardShape => ({
    key: `weights/l${layer}/${kind}`,
    shape,
    dtype,
  });
  const vector = (kind: string, count: number): ShardShape => of(kind, [count], 'f32');
  const run = `e${runsOf(experts)}`;
  const stack = (which: string, shape: readonly number[], dtype = dtypes.experts): ShardShape =>
    of(`${which}/${run}`, [experts.length, ...shape], dtype);
  const rows = heads.count + 2 * kvHeads.count;
  const ofUnit = (dim: number, extra: number) => {
    const { unitUp, unitDown } = unitShapes(D, dim, extra);
    return { unitUp: of('unit-up', unitUp, dtypes.units), unitDown: of('unit-down', unitDown, dtypes.units) };
  };
  const ofAttention = attentionShapes(D, headDim, heads.count / headDim, kvHeads.count / headDim);
  const ofExpert = expertShapes(D, F);
  const common = {
    attentionNorm: vector('attention-norm', D),
    qkv: of(`qkv/tp${tp}`, ofAttention.qkv, dtypes.attention),
    ...(attention.bias && { qkvBias: vector(`qkv-bias/tp${tp}`, rows) }),
    ...(attention.qkNorm === 'head' && { qkNorm: vector('qk-norm', 2 * headDim) }),
    ...(attention.qkNorm === 'width' && { qkNorm: vector(`qk-norm/tp${tp}`, heads.count + kvHeads.count) }),
    ...(attention.sinks && { sinks: vector(`sinks/tp${tp}`, heads.count / headDim) }),
    out: of(`out/tp${tp}`, ofAttention.out, dtypes.attention),
    ...(attention.outBias && { outBias: vector(`out-bias/${tp === 0 ? 'first' : 'none'}`, D) }),
    expertNorm: vector('expert-norm', D),
  };
  if (isDense(model, layer)) return { ...common, ...ofUnit(dense?.dim ?? 0, 0) };
  return {
    ...common,
    gate: of('gate', gateShape(D, numExperts), dtypes.gate),
    ...(router.bias && { gateBias: vector('gate-bias', numExperts) }),
    ...(router.correction && { correction: vector('correction', numExperts) }),
    w1: stack('w1', ofExpert.w1),
    w3: stack('w3', ofExpert.w3),
    w2: stack('w2', ofExpert.w2),
    ...(model.expertBias && {
      upBias: stack('up-bias', [2 * F], 'f32'),
      downBias: stack('down-bias', [D], 'f32'),
    }),
    ...(shared && ofUnit(shared.dim, shared.gated ? 1 : 0)),
  };
}

export function endShardShapes({ layout, dtypes, vocabulary }: EndsPlan): EndShards {
  const { modelDim: D } = layout.model;
  const inPieces = (key: string, runs: readonly Run[], dtype: WeightDtype): ShardShape[] =>
    runs.map(({ count }, i) => ({
      key: runs.length === 1 ? key : `${key}/${i + 1}-of-${runs.length}`,
      shape: vocabularyShape(D, count),
      dtype,
    }));
  return {
    embedding: inPieces('weights/embedding', vocabulary.embedding, dtypes.embedding),
    finalNorm: { key: 'weights/final-norm', shape: [D], dtype: 'f32' },
    lmHead: vocabulary.head.map((runs, tp) => inPieces(`weights/lm-head/tp${tp}`, runs, dtypes.head)),
  };
}
