/** The shapes of models by name: the project's own, and public ones as their configuration files give them. */
import type { MoeConfig } from './config.ts';

export interface Preset {
  readonly config: MoeConfig;
  /** Where the numbers come from. */
  readonly source: string;
  /** Parts of the real model that `MoeConfig` does not express: neither its cost nor its results include them. */
  readonly beyond: readonly string[];
  /**
   * Parameters as its makers state them, to compare with `parameters(config)`; absent where nobody stated any. Makers
   * differ in whether the embedding table is active; ours never is.
   */
  readonly stated?: { readonly total: number; readonly active: number };
}

const huggingFace = (repository: string): string => `config.json of ${repository} on huggingface.co`;

/** What most of the list shares, so that an entry shows what is its own. */
const COMMON = { activation: 'silu', renormalize: true, rmsEps: 1e-5 } as const;

const GPT_OSS = {
  ...COMMON,
  vocabSize: 201088,
  modelDim: 2880,
  numHeads: 64,
  numKvHeads: 8,
  headDim: 64,
  topK: 4,
  expertDim: 2880,
  activation: 'swiglu_oai',
  ropeTheta: 150000,
  maxPositions: 131072,
} as const;

const GPT_OSS_BEYOND = [
  'biases in attention, router and experts',
  'attention sinks: a learned extra term in every softmax denominator',
  'a sliding window of 128 positions in every second layer (costs here assume full attention)',
  'YaRN scaling of the rotary positions',
  'MXFP4 expert weights in the released checkpoint',
];

export const PRESETS: readonly Preset[] = [
  {
    config: {
      ...COMMON,
      name: 'card',
      vocabSize: 32000,
      modelDim: 1024,
      numLayers: 16,
      numHeads: 16,
      numKvHeads: 16,
      headDim: 64,
      numExperts: 16,
      topK: 2,
      expertDim: 2048,
      ropeTheta: 10000,
      maxPositions: 32768,
    },
    source:
      "this project's assumption: the reference deployment states 16 heads and 16 experts per layer, the rest is chosen",
    beyond: [],
  },
  {
    config: {
      ...COMMON,
      name: 'tiny-moe',
      vocabSize: 65,
      modelDim: 128,
      numLayers: 4,
      numHeads: 16,
      numKvHeads: 8,
      headDim: 8,
      numExperts: 16,
      topK: 2,
      expertDim: 96,
      ropeTheta: 10000,
      maxPositions: 256,
    },
    source: 'config.json of the trained model in bench/models/tiny-moe',
    beyond: [],
    stated: { total: 2.58e6, active: 0.51e6 },
  },
  {
    config: {
      ...COMMON,
      name: 'mixtral-8x7b',
      vocabSize: 32000,
      modelDim: 4096,
      numLayers: 32,
      numHeads: 32,
      numKvHeads: 8,
      headDim: 128,
      numExperts: 8,
      topK: 2,
      expertDim: 14336,
      ropeTheta: 1e6,
      maxPositions: 32768,
    },
    source: huggingFace('mistralai/Mixtral-8x7B-v0.1'),
    beyond: [],
    stated: { total: 46.7e9, active: 12.9e9 },
  },
  {
    config: {
      ...COMMON,
      name: 'phi-3.5-moe',
      vocabSize: 32064,
      modelDim: 4096,
      numLayers: 32,
      numHeads: 32,
      numKvHeads: 8,
      headDim: 128,
      numExperts: 16,
      topK: 2,
      expertDim: 6400,
      renormalize: false,
      ropeTheta: 10000,
      maxPositions: 131072,
    },
    source: huggingFace('microsoft/Phi-3.5-MoE-instruct'),
    beyond: [
      'LayerNorm with bias in place of RMSNorm',
      'biases in attention and lm_head',
      'SparseMixer routing: the second score comes from a softmax without the first expert',
      'LongRoPE scaling of the rotary positions',
    ],
    stated: { total: 41.9e9, active: 6.6e9 },
  },
  {
    config: {
      ...COMMON,
      name: 'dbrx',
      vocabSize: 100352,
      modelDim: 6144,
      numLayers: 40,
      numHeads: 48,
      numKvHeads: 8,
      headDim: 128,
      numExperts: 16,
      topK: 4,
      expertDim: 10752,
      ropeTheta: 500000,
      maxPositions: 32768,
    },
    source: huggingFace('databricks/dbrx-base'),
    beyond: ['LayerNorm without bias in place of RMSNorm', 'queries, keys and values clipped to [-8, 8]'],
    stated: { total: 132e9, active: 36e9 },
  },
  {
    config: {
      ...COMMON,
      name: 'olmoe-1b-7b',
      vocabSize: 50304,
      modelDim: 2048,
      numLayers: 16,
      numHeads: 16,
      numKvHeads: 16,
      headDim: 128,
      numExperts: 64,
      topK: 8,
      expertDim: 1024,
      renormalize: false,
      ropeTheta: 10000,
      maxPositions: 4096,
    },
    source: huggingFace('allenai/OLMoE-1B-7B-0924'),
    beyond: ['RMSNorm of queries and keys over all heads'],
    stated: { total: 6.92e9, active: 1.28e9 },
  },
  {
    config: {
      ...COMMON,
      name: 'qwen3-30b-a3b',
      vocabSize: 151936,
      modelDim: 2048,
      numLayers: 48,
      numHeads: 32,
      numKvHeads: 4,
      headDim: 128,
      numExperts: 128,
      topK: 8,
      expertDim: 768,
      ropeTheta: 1e6,
      rmsEps: 1e-6,
      maxPositions: 40960,
    },
    source: huggingFace('Qwen/Qwen3-30B-A3B'),
    beyond: ['RMSNorm of queries and keys per head'],
    stated: { total: 30.5e9, active: 3.3e9 },
  },
  {
    config: { ...GPT_OSS, name: 'gpt-oss-20b', numLayers: 24, numExperts: 32 },
    source: huggingFace('openai/gpt-oss-20b'),
    beyond: GPT_OSS_BEYOND,
    stated: { total: 20.9e9, active: 3.6e9 },
  },
  {
    config: { ...GPT_OSS, name: 'gpt-oss-120b', numLayers: 36, numExperts: 128 },
    source: huggingFace('openai/gpt-oss-120b'),
    beyond: GPT_OSS_BEYOND,
    stated: { total: 116.8e9, active: 5.1e9 },
  },
  {
    config: {
      ...COMMON,
      name: 'deepseek-v3',
      vocabSize: 129280,
      modelDim: 7168,
      numLayers: 61,
      numHeads: 128,
      numKvHeads: 128,
      headDim: 128,
      numExperts: 256,
      topK: 8,
      expertDim: 2048,
      ropeTheta: 10000,
      rmsEps: 1e-6,
      maxPositions: 163840,
    },
    source: huggingFace('deepseek-ai/DeepSeek-V3'),
    beyond: [
      'multi-head latent attention (query rank 1536, key/value rank 512, 64 rotary elements apart): here it counts as ' +
        'plain attention with 128 heads of 128, which has more parameters and a far larger KV cache',
      'one shared expert beside the routed ones in every mixture layer',
      'the first 3 layers are dense with width 18432; here all 61 are mixtures',
      'sigmoid scores with a correction bias, selection within 4 of 8 groups, scaling of the scores by 2.5',
      'YaRN scaling of the rotary positions',
      'a multi-token prediction layer and FP8 weights in the released checkpoint',
    ],
    stated: { total: 671e9, active: 37e9 },
  },
];
