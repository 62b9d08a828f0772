/** Mixtral, OLMoE and Granite: attention and softmax experts, with a departure or two. */
import { ConfigError } from '../../core/errors.ts';
import { COMMON_NAMES, type Family, MIXTRAL_NAMES, MLP_NAMES, type NameMap } from './family.ts';
import {
  MULTIPLIERS,
  readCore,
  readFp8,
  readWindows,
  refuseStrange,
  withAttention,
} from './shared-fields.ts';
import type { ConfigFile } from './config-file.ts';

/** Constants of the architecture that older exports hold. */
export const HARMLESS = /\.rotary_emb\.inv_freq$/;

/** The head is the embedding where the config ties them; a head that lies there all the same is not used. */
export function tied(
  file: ConfigFile,
  names: NameMap,
  otherwise = false,
): { names: NameMap; ignored: RegExp[] } {
  if (!file.flag('tie_word_embeddings', otherwise)) return { names, ignored: [HARMLESS] };
  return {
    names: { ...names, lmHead: 'model.embed_tokens.weight' },
    ignored: [HARMLESS, /^lm_head\.weight$/],
  };
}

export const mixtral: Family = {
  type: 'mixtral',
  title: 'Mixtral',
  read(file, name) {
    refuseStrange(file);
    file.only('attention_bias', [false], 'Use a checkpoint without biases.');
    const { core, order } = readCore(file);
    const window = file.countOr('sliding_window', undefined);
    const windows = readWindows(file, core.numLayers, window, () => true);
    return {
      config: {
        ...{ name, ...core },
        numExperts: file.countOf('num_local_experts', 'num_experts'),
        topK: file.count('num_experts_per_tok'),
        expertDim: file.count('intermediate_size'),
        renormalize: true,
        ...withAttention({ windows }),
      },
      order,
      fp8Block: readFp8(file),
      ...tied(file, MIXTRAL_NAMES),
    };
  },
};

export const olmoe: Family = {
  type: 'olmoe',
  title: 'OLMoE',
  read(file, name) {
    refuseStrange(file);
    const { core, order } = readCore(file);
    const bias = file.flag('attention_bias', false);
    return {
      config: {
        ...{ name, ...core },
        numExperts: file.countOf('num_experts', 'num_local_experts'),
        topK: file.count('num_experts_per_tok'),
        expertDim: file.count('intermediate_size'),
        renormalize: file.flag('norm_topk_prob', false),
        ...withAttention({
          ...{ bias, outBias: bias, qkNorm: 'width' },
          clip: file.positiveOr('clip_qkv', undefined),
        }),
      },
      order,
      fp8Block: readFp8(file),
      ...tied(file, MLP_NAMES),
    };
  },
};

const GRANITE_NAMES: NameMap = {
  ...COMMON_NAMES,
  gate: 'model.layers.L.block_sparse_moe.router.layer.weight',
  w2: 'model.layers.L.block_sparse_moe.output_linear.weight',
};

/**
 * Its multipliers are folded. With x the residual stream, e, r and l those of embedding, residual and logits, x / r is
 * computed in place of x: the embedding is e / r times its own, a branch joins as it is, every norm has eps / r^2, and the
 * last norm's weight is 1 / l times its own.
 */
export const graniteMoe: Family = {
  type: 'granitemoe',
  title: 'Granite MoE',
  read(file, name) {
    refuseStrange(file, MULTIPLIERS);
    const { core, order } = readCore(file);
    const bias = file.flag('attention_bias', false);
    const residual = file.positiveOr('residual_multiplier', 1);
    const embedding = file.positiveOr('embedding_multiplier', 1);
    const logits = file.positiveOr('logits_scaling', 1);
    const scale = file.positiveOr('attention_multiplier', 1);
    const expertDim = file.count('intermediate_size');
    const input = {
      from: 'model.layers.L.block_sparse_moe.input_linear.weight',
      allRows: 2 * expertDim,
    };
    const { names, ignored } = tied(file, {
      ...GRANITE_NAMES,
      embedding: { from: 'model.embed_tokens.weight', scale: embedding / residual },
      finalNorm: { from: 'model.norm.weight', scale: 1 / logits },
      w1: { ...input, rows: { first: 0, step: 1 } },
      w3: { ...input, rows: { first: expertDim, step: 1 } },
    });
    if (readFp8(file) !== undefined) file.refuse('quantization_config', 'Convert the weights to BF16.');
    return {
      config: {
        ...{ name, ...core },
        rmsEps: core.rmsEps / residual ** 2,
        numExperts: file.countOf('num_local_experts', 'num_experts'),
        topK: file.count('num_experts_per_tok'),
        expertDim,
        renormalize: true,
        ...(residual !== 1 && { hiddenScale: residual }),
        ...withAttention({ bias, outBias: bias, scale }),
      },
      order,
      names,
      ignored,
    };
  },
};

/** @throws ConfigError for one that the family does not know, before any tensor is looked at. */
export function requireScoring(
  file: ConfigFile,
  key: string,
  known: readonly string[],
  otherwise: string,
): string {
  const found = file.any(key) ?? otherwise;
  if (typeof found === 'string' && known.includes(found)) return found;
  throw new ConfigError(
    `${file.label} sets ${key} to ${JSON.stringify(found)}, which is not supported. Supported: ${known.join(', ')}.`,
  );
}
