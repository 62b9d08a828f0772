/** Qwen2-MoE and Qwen3-MoE. */
import type { MoeConfig } from '../config.ts';
import type { ConfigFile } from './config-file.ts';
import { type Family, MLP_NAMES, type NameMap } from './family.ts';
import { tied } from './plain.ts';
import {
  layersWhere,
  readCore,
  readFp8,
  readWindows,
  refuseStrange,
  withAttention,
} from './shared-fields.ts';

/** Layers without experts: those that are named, and all but every n-th. */
function readDense(file: ConfigFile, numLayers: number): Pick<MoeConfig, 'dense'> {
  const step = file.countOr('decoder_sparse_step', 1);
  const named = file.naturals('mlp_only_layers');
  if (step === 1 && named.length === 0) return {};
  const layers = layersWhere(file, numLayers, (i) => named.includes(i) || (i + 1) % step !== 0);
  return layers.length === 0 ? {} : { dense: { dim: file.count('intermediate_size'), layers } };
}

const QWEN2_NAMES: NameMap = {
  ...MLP_NAMES,
  sharedW1: 'model.layers.L.mlp.shared_expert.gate_proj.weight',
  sharedW2: 'model.layers.L.mlp.shared_expert.down_proj.weight',
  sharedW3: 'model.layers.L.mlp.shared_expert.up_proj.weight',
  sharedGate: 'model.layers.L.mlp.shared_expert_gate.weight',
};

export const qwen2Moe: Family = {
  type: 'qwen2_moe',
  title: 'Qwen2-MoE',
  read(file, name) {
    refuseStrange(file);
    const { core, order } = readCore(file);
    const sliding = file.flag('use_sliding_window', false);
    const window = sliding ? file.countOr('sliding_window', undefined) : undefined;
    // Every other of the first ones slides, as transformers has it.
    const end = file.naturalOr('max_window_layers', 28);
    const slides = (layer: number): boolean => layer % 2 === 0 && layer < end;
    const windows = sliding ? readWindows(file, core.numLayers, window, slides) : undefined;
    return {
      config: {
        ...{ name, ...core },
        numExperts: file.countOf('num_experts', 'num_local_experts'),
        topK: file.count('num_experts_per_tok'),
        expertDim: file.count('moe_intermediate_size'),
        renormalize: file.flag('norm_topk_prob', false),
        shared: { dim: file.count('shared_expert_intermediate_size'), gated: true },
        ...readDense(file, core.numLayers),
        ...withAttention({ bias: file.flag('qkv_bias', true), windows }),
      },
      order,
      fp8Block: readFp8(file),
      ...tied(file, QWEN2_NAMES),
    };
  },
};

export const qwen3Moe: Family = {
  type: 'qwen3_moe',
  title: 'Qwen3-MoE',
  read(file, name) {
    refuseStrange(file);
    const { core, order } = readCore(file);
    const bias = file.flag('attention_bias', false);
    const sliding = file.flag('use_sliding_window', false);
    const window = sliding ? file.countOr('sliding_window', undefined) : undefined;
    return {
      config: {
        ...{ name, ...core },
        numExperts: file.countOf('num_experts', 'num_local_experts'),
        topK: file.count('num_experts_per_tok'),
        expertDim: file.count('moe_intermediate_size'),
        renormalize: file.flag('norm_topk_prob', false),
        ...readDense(file, core.numLayers),
        ...withAttention({
          ...{ bias, outBias: bias, qkNorm: 'head' },
          windows: sliding ? readWindows(file, core.numLayers, window, () => true) : undefined,
        }),
      },
      order,
      fp8Block: readFp8(file),
      ...tied(file, MLP_NAMES),
    };
  },
};
