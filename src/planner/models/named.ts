/** Models by any common spelling: 'DeepSeek-R1', 'deepseek_r1', 'deepseek-ai/DeepSeek-R1-0528', 'mixtral8x7b'. */
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { MoeConfig } from '../../model/config.ts';
import { PRESETS } from '../../model/preset-list.ts';
import type { ModelFacts } from './facts.ts';
import { PUBLIC_MODELS } from './list.ts';

/** The engine's shapes as facts; a public model of the same name is told more exactly by its own entry. */
export function factsOfConfig(config: MoeConfig, source: string): ModelFacts {
  return {
    name: config.name,
    vocabSize: config.vocabSize,
    modelDim: config.modelDim,
    layers: config.numLayers,
    attention: {
      kind: 'heads',
      heads: config.numHeads,
      kvHeads: config.numKvHeads,
      headDim: config.headDim,
    },
    denseLayers: 0,
    denseDim: 0,
    experts: config.numExperts,
    topK: config.topK,
    expertDim: config.expertDim,
    sharedDim: 0,
    mtpLayers: 0,
    tied: false,
    maxPositions: config.maxPositions,
    precision: 'bf16',
    source,
  };
}

const OWN = PRESETS.filter(({ config }) => !PUBLIC_MODELS.some(({ name }) => name === config.name)).map(
  ({ config, source, stated }): ModelFacts => ({
    ...factsOfConfig(config, source),
    ...(stated && { stated }),
  }),
);

/** Everything that can be named, those of the engine first. */
export const KNOWN_MODELS: readonly ModelFacts[] = [...OWN, ...PUBLIC_MODELS];

/** What a release adds to a name without changing its shape. */
const SUFFIX =
  /(instruct|chat|base|thinking|hf|it|fp8|fp4|nvfp4|fp4v2|nvfp4v2|mxfp4|bf16|fp16|awq|gptq|int4|int8|w4a16|w8a8|quantized|dynamic|block|original|preview|v01|v02|v03|0528|0324|2507|0711|0905|0125|terminus)+$/;

const plainName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^.*\//, '')
    .replace(/^(meta|nvidia|amd|redhatai|unsloth|moe)[-_ ](?=llama|deepseek|qwen|mixtral)/, '')
    .replace(/[^a-z0-9]/g, '');

const ALIASES: Readonly<Record<string, string>> = {
  dsr1: 'deepseekr1',
  dsv3: 'deepseekv3',
  deepseekcoderv2lite: 'deepseekv2lite',
  deepseekcoderv2: 'deepseekv2',
  glm46: 'glm45',
  deepseekv30: 'deepseekv3',
  gptoss: 'gptoss120b',
  llama318b: 'llama318b',
  llama38b: 'llama318b',
  llama3170b: 'llama3170b',
  llama370b: 'llama370b',
  llama8b: 'llama318b',
  llama70b: 'llama3170b',
  llama405b: 'llama31405b',
  llama4scout17b: 'llama4scout',
  llama4maverick17b: 'llama4maverick',
  llama4scout17b16e: 'llama4scout',
  llama4maverick17b128e: 'llama4maverick',
  minimaxm2: 'minimaxm2',
  minimaxm21: 'minimaxm25',
  mixtral: 'mixtral8x7b',
  olmoe: 'olmoe1b7b',
  olmoe1b7b0924: 'olmoe1b7b',
  phi35moe: 'phi35moe',
  phimoe: 'phi35moe',
  olmoe1b7b0125: 'olmoe1b7b',
  qwen3235b: 'qwen3235ba22b',
  qwen330b: 'qwen330ba3b',
  qwen3next: 'qwen3next80ba3b',
  qwen35: 'qwen35397ba17b',
  qwen35397b: 'qwen35397ba17b',
};

/** The model of this name, or undefined. */
export function modelOf(name: string): ModelFacts | undefined {
  const plain = plainName(name.slice(0, 200));
  const bare = plain.replace(SUFFIX, '');
  for (const key of [plain, bare]) {
    const wanted = ALIASES[key] ?? key;
    const found = KNOWN_MODELS.find((model) => plainName(model.name) === wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * The facts of the model of this name, in any common spelling.
 * @throws ConfigError for an unknown name, with the nearest and the list.
 */
export function modelNamed(name: string): ModelFacts {
  requireGiven('The model', name, 'string');
  const found = modelOf(name);
  if (found !== undefined) return found;
  const names = KNOWN_MODELS.map((model) => model.name);
  throw new ConfigError(
    `There is no model ${quoted(name)}${didYouMean(name, names)}. Give the path of its config.json, or one of: ${names.join(', ')}.`,
  );
}
