/** Public dense models, for cross-checks. */
import type { ModelFacts } from './facts.ts';
import { heads, PLAIN, repository } from './shapes.ts';

/** All layers dense. */
function dense(
  shape: Pick<
    ModelFacts,
    'name' | 'vocabSize' | 'modelDim' | 'layers' | 'attention' | 'denseDim' | 'source'
  > &
    Partial<ModelFacts>,
): ModelFacts {
  return {
    ...PLAIN,
    denseLayers: shape.layers,
    experts: 0,
    topK: 0,
    expertDim: 0,
    maxPositions: 131072,
    ...shape,
  };
}

const LLAMA_70B = {
  vocabSize: 128256,
  modelDim: 8192,
  layers: 80,
  attention: heads(64, 8, 128),
  denseDim: 28672,
};

export const DENSE: readonly ModelFacts[] = [
  dense({
    name: 'llama-3.1-8b',
    vocabSize: 128256,
    modelDim: 4096,
    layers: 32,
    attention: heads(32, 8, 128),
    denseDim: 14336,
    source: repository('meta-llama/Llama-3.1-8B'),
    stated: { total: 8.03e9, active: 7.5e9 },
  }),
  dense({ ...LLAMA_70B, name: 'llama-3.1-70b', source: repository('meta-llama/Llama-3.1-70B') }),
  dense({
    ...LLAMA_70B,
    name: 'llama-3-70b',
    maxPositions: 8192,
    source: repository('meta-llama/Meta-Llama-3-70B'),
  }),
  dense({ ...LLAMA_70B, name: 'llama-3.3-70b', source: repository('meta-llama/Llama-3.3-70B-Instruct') }),
  dense({
    name: 'llama-2-70b',
    vocabSize: 32000,
    modelDim: 8192,
    layers: 80,
    attention: heads(64, 8, 128),
    denseDim: 28672,
    maxPositions: 4096,
    source: repository('meta-llama/Llama-2-70b-hf'),
  }),
  dense({
    name: 'llama-3.1-405b',
    vocabSize: 128256,
    modelDim: 16384,
    layers: 126,
    attention: heads(128, 8, 128),
    denseDim: 53248,
    source: repository('meta-llama/Llama-3.1-405B'),
  }),
  dense({
    name: 'qwen3-8b',
    vocabSize: 151936,
    modelDim: 4096,
    layers: 36,
    attention: heads(32, 8, 128),
    denseDim: 12288,
    maxPositions: 40960,
    source: repository('Qwen/Qwen3-8B'),
  }),
  dense({
    name: 'qwen3-32b',
    vocabSize: 151936,
    modelDim: 5120,
    layers: 64,
    attention: heads(64, 8, 128),
    denseDim: 25600,
    maxPositions: 40960,
    source: repository('Qwen/Qwen3-32B'),
    stated: { total: 32.8e9, active: 32e9 },
  }),
  dense({
    name: 'qwen2.5-72b',
    vocabSize: 152064,
    modelDim: 8192,
    layers: 80,
    attention: heads(64, 8, 128),
    denseDim: 29568,
    source: repository('Qwen/Qwen2.5-72B'),
  }),
];
