/** The tensors of a model by their part: canonical names and shapes. Layer and expert indices are global. */
import type { MoeConfig } from '../moe-config.ts';

/** Names by part; `L` stands for the layer and `E` for the expert. Mixtral's in the hub, and similar ones. */
const NAMES = {
  embedding: 'model.embed_tokens.weight',
  finalNorm: 'model.norm.weight',
  lmHead: 'lm_head.weight',
  attentionNorm: 'model.layers.L.input_layernorm.weight',
  q: 'model.layers.L.self_attn.q_proj.weight',
  k: 'model.layers.L.self_attn.k_proj.weight',
  v: 'model.layers.L.self_attn.v_proj.weight',
  o: 'model.layers.L.self_attn.o_proj.weight',
  qBias: 'model.layers.L.self_attn.q_proj.bias',
  kBias: 'model.layers.L.self_attn.k_proj.bias',
  vBias: 'model.layers.L.self_attn.v_proj.bias',
  oBias: 'model.layers.L.self_attn.o_proj.bias',
  qNorm: 'model.layers.L.self_attn.q_norm.weight',
  kNorm: 'model.layers.L.self_attn.k_norm.weight',
  sinks: 'model.layers.L.self_attn.sinks',
  expertNorm: 'model.layers.L.post_attention_layernorm.weight',
  gate: 'model.layers.L.block_sparse_moe.gate.weight',
  gateBias: 'model.layers.L.block_sparse_moe.gate.bias',
  correction: 'model.layers.L.block_sparse_moe.gate.e_score_correction_bias',
  sharedW1: 'model.layers.L.block_sparse_moe.shared_expert.w1.weight',
  sharedW2: 'model.layers.L.block_sparse_moe.shared_expert.w2.weight',
  sharedW3: 'model.layers.L.block_sparse_moe.shared_expert.w3.weight',
  sharedGate: 'model.layers.L.block_sparse_moe.shared_expert_gate.weight',
  denseW1: 'model.layers.L.mlp.w1.weight',
  denseW2: 'model.layers.L.mlp.w2.weight',
  denseW3: 'model.layers.L.mlp.w3.weight',
  w1: 'model.layers.L.block_sparse_moe.experts.E.w1.weight',
  w2: 'model.layers.L.block_sparse_moe.experts.E.w2.weight',
  w3: 'model.layers.L.block_sparse_moe.experts.E.w3.weight',
  b1: 'model.layers.L.block_sparse_moe.experts.E.w1.bias',
  b2: 'model.layers.L.block_sparse_moe.experts.E.w2.bias',
  b3: 'model.layers.L.block_sparse_moe.experts.E.w3.bias',
} as const;

/** One kind of tensor of a model. */
export type Part = keyof typeof NAMES;

/** A tensor: its part, and which layer and expert it is of. */
export interface WeightPlace {
  readonly part: Part;
  readonly layer: number;
  readonly expert: number;
}

/** A template with its layer and expert filled in. */
export function filled(template: string, layer: number, expert = 0): string {
  return template.replace(/\.L\./, `.${layer}.`).replace(/\.E\./, `.${expert}.`);
}

/** The canonical name of a tensor. */
export function nameOf(part: Part, layer = 0, expert = 0): string {
  return filled(NAMES[part], layer, expert);
}

const BY_TEMPLATE: ReadonlyMap<string, Part> = new Map(
  Object.entries(NAMES).map(([part, template]) => [template, part as Part]),
);
const LAYER = /^(model\.layers)\.(0|[1-9]\d{0,14})\./;
const EXPERT = /\.experts\.(0|[1-9]\d{0,14})\./;

/** The tensor that a canonical name is of; undefined for any other name. */
export function placeOf(name: string): WeightPlace | undefined {
  const layer = LAYER.exec(name)?.[2];
  const expert = EXPERT.exec(name)?.[1];
  const part = BY_TEMPLATE.get(name.replace(LAYER, '$1.L.').replace(EXPERT, '.experts.E.'));
  if (part === undefined) return undefined;
  return { part, layer: Number(layer ?? 0), expert: Number(expert ?? 0) };
}

/** Where a part belongs: once in the model, in a layer, or in each expert of a layer. */
export const MODEL_PARTS = ['embedding', 'finalNorm', 'lmHead'] as const satisfies readonly Part[];
export const EXPERT_PARTS = ['w1', 'w2', 'w3', 'b1', 'b2', 'b3'] as const satisfies readonly Part[];

/** Parts that a layer has once, in their order. */
export function layerParts(config: MoeConfig, dense: boolean): Part[] {
  const { attention = {}, router = {}, shared } = config;
  const own: readonly (readonly [boolean, readonly Part[]])[] = [
    [true, ['attentionNorm', 'q', 'k', 'v', 'o']],
    [attention.bias ?? false, ['qBias', 'kBias', 'vBias']],
    [attention.outBias ?? false, ['oBias']],
    [attention.qkNorm !== undefined, ['qNorm', 'kNorm']],
    [attention.sinks ?? false, ['sinks']],
    [true, ['expertNorm']],
    [dense, ['denseW1', 'denseW2', 'denseW3']],
    [!dense, ['gate']],
    [!dense && (router.bias ?? false), ['gateBias']],
    [!dense && (router.correction ?? false), ['correction']],
    [!dense && shared !== undefined, ['sharedW1', 'sharedW2', 'sharedW3']],
    [!dense && (shared?.gated ?? false), ['sharedGate']],
  ];
  return own.flatMap(([present, parts]) => (present ? parts : []));
}

/** Parts that each expert has. */
export function expertParts({ expertBias = false }: MoeConfig): readonly Part[] {
  return expertBias ? EXPERT_PARTS : ['w1', 'w2', 'w3'];
}

/** The shape of a part: rows are outputs, columns inputs. */
export function shapeOf(config: MoeConfig, part: Part): readonly number[] {
  const { vocabSize, modelDim: d, expertDim: f, numExperts, headDim, attention, shared, dense } = config;
  const q = config.numHeads * headDim;
  const kv = config.numKvHeads * headDim;
  switch (part) {
    case 'embedding':
    case 'lmHead':
      return [vocabSize, d];
    case 'finalNorm':
    case 'attentionNorm':
    case 'expertNorm':
    case 'oBias':
    case 'b2':
      return [d];
    case 'q':
      return [q, d];
    case 'k':
    case 'v':
      return [kv, d];
    case 'o':
      return [d, q];
    case 'qBias':
      return [q];
    case 'kBias':
    case 'vBias':
      return [kv];
    case 'qNorm':
      return [attention?.qkNorm === 'width' ? q : headDim];
    case 'kNorm':
      return [attention?.qkNorm === 'width' ? kv : headDim];
    case 'sinks':
      return [config.numHeads];
    case 'gate':
      return [numExperts, d];
    case 'gateBias':
    case 'correction':
      return [numExperts];
    case 'w1':
    case 'w3':
      return [f, d];
    case 'w2':
      return [d, f];
    case 'b1':
    case 'b3':
      return [f];
    case 'sharedW1':
    case 'sharedW3':
      return [shared?.dim ?? 0, d];
    case 'sharedW2':
      return [d, shared?.dim ?? 0];
    case 'sharedGate':
      return [1, d];
    case 'denseW1':
    case 'denseW3':
      return [dense?.dim ?? 0, d];
    case 'denseW2':
      return [d, dense?.dim ?? 0];
  }
}

/** The tensor names of one model. */
export const weightNames = {
  embedding: NAMES.embedding,
  finalNorm: NAMES.finalNorm,
  lmHead: NAMES.lmHead,
  attentionNorm: (layer: number) => nameOf('attentionNorm', layer),
  expertNorm: (layer: number) => nameOf('expertNorm', layer),
  projection: (layer: number, which: 'q' | 'k' | 'v' | 'o') => nameOf(which, layer),
  gate: (layer: number) => nameOf('gate', layer),
  expert: (layer: number, expert: number, which: 'w1' | 'w2' | 'w3') => nameOf(which, layer, expert),
} as const;
