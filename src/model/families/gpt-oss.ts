/** gpt-oss, in MXFP4 as OpenAI ships it and in BF16. */
import { COMMON_NAMES, type Family, type NameMap } from './family.ts';
import { tied } from './plain.ts';
import { readCore, readWindows, refuseStrange, withAttention } from './shared-fields.ts';

/** Rows of gate and up take turns in one matrix. In BF16 it lies with inputs as rows. */
function expertNames(expertDim: number): NameMap {
  const up = { from: 'model.layers.L.mlp.experts.gate_up_proj', packable: true, transposed: true };
  const bias = { from: 'model.layers.L.mlp.experts.gate_up_proj_bias' };
  const half = (first: number) => ({ rows: { first, step: 2 }, allRows: 2 * expertDim });
  return {
    w1: { ...up, ...half(0) },
    w3: { ...up, ...half(1) },
    w2: { from: 'model.layers.L.mlp.experts.down_proj', packable: true, transposed: true },
    b1: { ...bias, ...half(0) },
    b3: { ...bias, ...half(1) },
    b2: { from: 'model.layers.L.mlp.experts.down_proj_bias' },
  };
}

export const gptOss: Family = {
  type: 'gpt_oss',
  title: 'gpt-oss',
  read(file, name) {
    refuseStrange(file);
    const quantisation = file.record('quantization_config');
    quantisation?.only('quant_method', ['mxfp4'], 'Supported for gpt-oss: mxfp4, or none.');
    const { core, order } = readCore(file, { theta: 150000 });
    const bias = file.flag('attention_bias', true);
    const window = file.countOr('sliding_window', undefined);
    const expertDim = file.count('intermediate_size');
    return {
      config: {
        ...{ name, ...core, expertDim },
        numExperts: file.countOf('num_local_experts', 'num_experts'),
        topK: file.countOf('num_experts_per_tok', 'experts_per_token'),
        renormalize: true,
        activation: 'swiglu_oai',
        expertBias: true,
        clamp: { alpha: 1.702, beta: 1, limit: file.positiveOr('swiglu_limit', 7) },
        router: { bias: true },
        ...withAttention({
          ...{ bias, outBias: bias, sinks: true },
          windows: readWindows(file, core.numLayers, window, (i) => i % 2 === 0),
        }),
      },
      order,
      ...tied(file, {
        ...COMMON_NAMES,
        gate: 'model.layers.L.mlp.router.weight',
        gateBias: 'model.layers.L.mlp.router.bias',
        ...expertNames(expertDim),
      }),
    };
  },
};
