/** What a family of models tells of a config.json: the model's shape, and where in the files its tensors lie. */
import type { MoeConfig } from '../config.ts';
import { filled, type Part } from '../weights/parts.ts';
import type { ConfigFile } from './config-file.ts';

/** How one of our tensors is made of one of the file's. */
export interface Recipe {
  /** The file's tensor. */
  readonly from: string;
  /** Which of its first dim, where it is a stack. */
  readonly outer?: number;
  /** Of what is left: rows `first`, `first + step`, ...; all when absent. */
  readonly rows?: { readonly first: number; readonly step: number };
  /** How many rows it has in all, where `rows` takes some of them. */
  readonly allRows?: number;
  /** Stored with inputs as rows. */
  readonly transposed?: boolean;
  /** Element of a stored head at each place of a head here: rows move within groups of so many. */
  readonly order?: readonly number[];
  /** Values times this. */
  readonly scale?: number;
  /** A dim of 1 is in front of the shape. */
  readonly boxed?: boolean;
  /** In MXFP4 where the file has `<from>_blocks`: [outer, rows, K / 32, 16] and `<from>_scales`. */
  readonly packable?: boolean;
}

/** A recipe whose names hold `L` and `E`; a text alone is the name of a tensor that is taken as it is. */
export type RecipeTemplate = string | Recipe;

export type NameMap = Readonly<Partial<Record<Part, RecipeTemplate>>>;

/** A config as its family reads it. */
export interface FamilyModel {
  readonly config: MoeConfig;
  readonly names: NameMap;
  /** Order of elements within query and key heads, where it is not the file's. */
  readonly order?: readonly number[] | undefined;
  /** Tensors of the files that inference does not use. */
  readonly ignored: readonly RegExp[];
  /** Rows and columns that share a scale of FP8 matrices. */
  readonly fp8Block?: readonly [number, number] | undefined;
}

export interface Family {
  /** `model_type` of its config.json. */
  readonly type: string;
  /** Another `model_type` that files bear, which is theirs only with this architecture. */
  readonly also?: { readonly type: string; readonly architecture: string };
  /** What people call it. */
  readonly title: string;
  read(file: ConfigFile, name: string): FamilyModel;
}

const TURNING: ReadonlySet<Part> = new Set(['q', 'k', 'qBias', 'kBias', 'qNorm', 'kNorm']);
const STACKED: ReadonlySet<Part> = new Set(['w1', 'w2', 'w3', 'b1', 'b2', 'b3']);

/** Where a tensor lies in the files; undefined for a part that the family has not. */
export function recipeOf(
  { names, order }: FamilyModel,
  part: Part,
  layer: number,
  expert: number,
): Recipe | undefined {
  const template = names[part];
  if (template === undefined) return undefined;
  const own: Recipe = typeof template === 'string' ? { from: template } : template;
  const stacked = STACKED.has(part) && !own.from.includes('.E.');
  return {
    ...own,
    from: filled(own.from, layer, expert),
    ...(stacked && { outer: expert }),
    ...(order && TURNING.has(part) && { order }),
  };
}

/** Names that most families share: attention and norms. */
export const COMMON_NAMES: NameMap = {
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
};

/** Mixtral's own, which MiniMax-M2 has too. */
export const MIXTRAL_NAMES: NameMap = {
  ...COMMON_NAMES,
  gate: 'model.layers.L.block_sparse_moe.gate.weight',
  w1: 'model.layers.L.block_sparse_moe.experts.E.w1.weight',
  w2: 'model.layers.L.block_sparse_moe.experts.E.w2.weight',
  w3: 'model.layers.L.block_sparse_moe.experts.E.w3.weight',
};

/** Gate, up and down projections below `mlp`: Qwen, OLMoE, GLM-4.5, dots1, ERNIE. */
export const MLP_NAMES: NameMap = {
  ...COMMON_NAMES,
  gate: 'model.layers.L.mlp.gate.weight',
  correction: 'model.layers.L.mlp.gate.e_score_correction_bias',
  w1: 'model.layers.L.mlp.experts.E.gate_proj.weight',
  w2: 'model.layers.L.mlp.experts.E.down_proj.weight',
  w3: 'model.layers.L.mlp.experts.E.up_proj.weight',
  sharedW1: 'model.layers.L.mlp.shared_experts.gate_proj.weight',
  sharedW2: 'model.layers.L.mlp.shared_experts.down_proj.weight',
  sharedW3: 'model.layers.L.mlp.shared_experts.up_proj.weight',
  denseW1: 'model.layers.L.mlp.gate_proj.weight',
  denseW2: 'model.layers.L.mlp.down_proj.weight',
  denseW3: 'model.layers.L.mlp.up_proj.weight',
};
