/** Families whose router scores by sigmoids with a correction of the choice: GLM-4.5, dots1, MiniMax-M2; and ERNIE-4.5. */
import { ConfigError } from '../../core/errors.ts';
import type { MoeConfig, RouterTraits } from '../config.ts';
import type { ConfigFile } from './config-file.ts';
import { type Family, MIXTRAL_NAMES, MLP_NAMES } from './family.ts';
import { requireScoring, tied } from './plain.ts';
import {
  layersWhere,
  partialRotary,
  readCore,
  readFp8,
  readWindows,
  refuseStrange,
  withAttention,
} from './shared-fields.ts';

/** Layers of multi-token prediction lie behind the others; inference does not use them. */
const PREDICTION = /^(model\.)?mtp|\.mtp_|^mtp_/;

function beyond(numLayers: number): RegExp {
  // As many as there may be are named by the caller's own check of `model.layers.N`.
  return new RegExp(`^model\\.layers\\.(?:${[0, 1, 2, 3].map((i) => numLayers + i).join('|')})\\.`);
}

/** Sigmoid scores, a correction of the choice, groups and a factor, as DeepSeek-V3 has them. */
function readRouter(file: ConfigFile, numExperts: number): RouterTraits {
  const count = file.countOr('n_group', 1);
  const kept = file.countOr('topk_group', 1);
  if (kept > count || numExperts % count !== 0) {
    throw new ConfigError(
      `${file.label}: n_group (${count}) must divide the ${numExperts} experts, and topk_group (${kept}) be at most it. Correct them.`,
    );
  }
  const topK = file.count('num_experts_per_tok');
  if (topK > (kept * numExperts) / count) {
    throw new ConfigError(
      `${file.label}: num_experts_per_tok (${topK}) is more than the ${(kept * numExperts) / count} experts of ${kept} of ${count} groups. Correct it, or topk_group.`,
    );
  }
  const scale = file.positiveOr('routed_scaling_factor', 1);
  return {
    score: 'sigmoid',
    correction: true,
    ...(count > 1 && kept < count && { groups: { count, kept, score: 'top2' } }),
    ...(scale !== 1 && { scale }),
  };
}

/**
 * The first layers are dense, the others have routed experts and one that all tokens take.
 * @param otherwise where the config does not say.
 */
function readDeepSeekMoe(
  file: ConfigFile,
  numLayers: number,
  otherwise: { readonly renormalize: boolean; readonly firstDense: number; readonly shared: number },
): Pick<MoeConfig, 'numExperts' | 'topK' | 'expertDim' | 'renormalize' | 'router' | 'dense' | 'shared'> {
  const numExperts = file.countOf('n_routed_experts', 'num_local_experts', 'num_experts');
  const expertDim = file.count('moe_intermediate_size');
  const first = file.naturalOr('first_k_dense_replace', otherwise.firstDense);
  const shared = file.naturalOr('n_shared_experts', otherwise.shared);
  const layers = first === 0 ? [] : layersWhere(file, numLayers, (i) => i < first);
  return {
    ...{ numExperts, expertDim },
    topK: file.count('num_experts_per_tok'),
    renormalize: file.flag('norm_topk_prob', otherwise.renormalize),
    router: readRouter(file, numExperts),
    ...(layers.length > 0 && { dense: { dim: file.count('intermediate_size'), layers } }),
    ...(shared > 0 && { shared: { dim: shared * expertDim, gated: false } }),
  };
}

export const glm4Moe: Family = {
  type: 'glm4_moe',
  title: 'GLM-4.5 MoE',
  read(file, name) {
    refuseStrange(file);
    const { core, order } = readCore(file, { rotaryDim: partialRotary(file, 0.5) });
    const { names, ignored } = tied(file, MLP_NAMES);
    return {
      config: {
        ...{ name, ...core },
        ...readDeepSeekMoe(file, core.numLayers, { renormalize: true, firstDense: 1, shared: 1 }),
        ...withAttention({
          bias: file.flag('attention_bias', false),
          qkNorm: file.flag('use_qk_norm', false) ? 'head' : undefined,
        }),
      },
      order,
      fp8Block: readFp8(file),
      names,
      ignored: [...ignored, beyond(core.numLayers)],
    };
  },
};

export const dots1: Family = {
  type: 'dots1',
  title: 'dots1',
  read(file, name) {
    refuseStrange(file);
    const { core, order } = readCore(file);
    const bias = file.flag('attention_bias', false);
    const window = file.countOr('sliding_window', undefined);
    const from = file.naturalOr('max_window_layers', 62);
    const { names, ignored } = tied(file, MLP_NAMES);
    return {
      config: {
        ...{ name, ...core },
        ...readDeepSeekMoe(file, core.numLayers, { renormalize: false, firstDense: 0, shared: 0 }),
        ...withAttention({
          ...{ bias, outBias: bias, qkNorm: 'head' },
          windows: readWindows(file, core.numLayers, window, (i) => i >= from),
        }),
      },
      order,
      fp8Block: readFp8(file),
      names,
      ignored: [...ignored, beyond(core.numLayers)],
    };
  },
};

export const miniMaxM2: Family = {
  type: 'minimax_m2',
  // As it was published at first; MiniMax-01, which has the same type, is another model.
  also: { type: 'minimax', architecture: 'MiniMaxM2ForCausalLM' },
  title: 'MiniMax-M2',
  read(file, name) {
    refuseStrange(file);
    file.only('attention_bias', [false], 'Use a checkpoint without biases.');
    file.only('shared_intermediate_size', [0], 'Use a checkpoint without shared experts.');
    file.only('qk_norm_type', ['per_layer'], 'Supported: per_layer.');
    const types = file.naturals('attn_type_list');
    if (types.some((type) => type !== 1)) file.refuse('attn_type_list', 'Supported: full attention (1).');
    const { core, order } = readCore(file, {
      theta: 5000000,
      rotaryDim: (headDim) => file.countOr('rotary_dim', partialRotary(file, 1)(headDim)),
    });
    const score = requireScoring(file, 'scoring_func', ['sigmoid', 'softmax'], 'sigmoid');
    const { names, ignored } = tied(file, {
      ...MIXTRAL_NAMES,
      correction: 'model.layers.L.block_sparse_moe.e_score_correction_bias',
    });
    return {
      config: {
        ...{ name, ...core },
        numExperts: file.countOf('num_local_experts', 'num_experts'),
        topK: file.count('num_experts_per_tok'),
        expertDim: file.count('intermediate_size'),
        renormalize: true,
        router: {
          ...(score === 'sigmoid' && { score }),
          ...(file.flag('use_routing_bias', true) && { correction: true }),
        },
        // A window in its config is not used: all layers see all keys.
        ...withAttention({ qkNorm: file.flag('use_qk_norm', true) ? 'width' : undefined }),
      },
      order,
      fp8Block: readFp8(file),
      names,
      ignored: [...ignored, PREDICTION, beyond(core.numLayers)],
    };
  },
};

/** What a sum of chosen scores is at least, before they are divided by it: of no effect where it is as small as is usual. */
function requireSmall(file: ConfigFile, key: string): void {
  if (file.positiveOr(key, 0) > 1e-9) file.refuse(key, 'Supported: up to 1e-9, as published.');
}

export const ernie45Moe: Family = {
  type: 'ernie4_5_moe',
  title: 'ERNIE-4.5 MoE',
  read(file, name) {
    refuseStrange(file);
    file.only('use_bias', [false], 'Use a checkpoint without biases.');
    requireSmall(file, 'moe_norm_min');
    const { core, order } = readCore(file, { style: 'interleaved', theta: 500000 });
    const { numLayers } = core;
    const first = file.naturalOr('moe_layer_start_index', 1);
    const end = file.any('moe_layer_end_index');
    const last = end === undefined || end === -1 ? numLayers - 1 : file.naturalOr('moe_layer_end_index', 0);
    const step = file.countOr('moe_layer_interval', 1);
    const layers = layersWhere(file, numLayers, (i) => i < first || i > last || (i + 1) % step !== 0);
    const expertDim = file.count('moe_intermediate_size');
    const shared = file.naturalOr('moe_num_shared_experts', 2);
    const { names, ignored } = tied(
      file,
      {
        ...MLP_NAMES,
        correction: { from: 'model.layers.L.mlp.moe_statics.e_score_correction_bias', boxed: true },
      },
      true,
    );
    return {
      config: {
        ...{ name, ...core, expertDim },
        numExperts: file.countOf('moe_num_experts', 'num_experts', 'num_local_experts'),
        topK: file.countOf('moe_k', 'num_experts_per_tok'),
        renormalize: true,
        router: { correction: true },
        ...(layers.length > 0 && { dense: { dim: file.count('intermediate_size'), layers } }),
        ...(shared > 0 && { shared: { dim: shared * expertDim, gated: false } }),
      },
      order,
      fp8Block: readFp8(file),
      names,
      ignored: [...ignored, PREDICTION, beyond(numLayers)],
    };
  },
};
