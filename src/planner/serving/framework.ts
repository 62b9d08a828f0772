/**
 * What a serving framework adds to its kernels. Few figures, fitted once over all models and systems of the calibration
 * measurements; none is of a model.
 */

import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { FIGURES, OF_FRAMEWORK } from './figures.ts';

export const FRAMEWORKS = ['vllm', 'sglang', 'trtllm', 'typical'] as const;
export type FrameworkName = (typeof FRAMEWORKS)[number];

export interface Framework {
  readonly name: FrameworkName;
  /** us of a step whatever it holds: scheduling, sampling, reading back. */
  readonly stepUs: number;
  /** us of launches and small kernels of a layer: norms, rotary embedding, quantisation. */
  readonly layerUs: number;
  /** us of the step for each sequence: sampling, detokenising, streaming. */
  readonly sequenceUs: number;
  /** Tokens of a step. */
  readonly maxTokens: number;
  /** Prompts and single tokens share steps, or a step of prompts goes first. */
  readonly policy: 'mixed' | 'prompts-first';
  /** Share of a GPU's memory that weights, cache and workspace may take. */
  readonly memoryShare: number;
  /** Share of its output that a request must have room for in the cache to be let in; sequences are met half way on average. */
  readonly reserved: number;
  /** Steps of single tokens between two looks for new requests. */
  readonly pollSteps: number;
  /** ms from a request's arrival to its first schedule, and from a token to its reader. */
  readonly requestMs: number;
}

const COMMON = { maxTokens: 8192, memoryShare: 0.92, reserved: 0.5, pollSteps: 1, policy: 'mixed' } as const;

export const FRAMEWORK: Readonly<Record<FrameworkName, Framework>> = {
  vllm: { ...COMMON, name: 'vllm', ...OF_FRAMEWORK.vllm },
  sglang: { ...COMMON, name: 'sglang', maxTokens: 16384, policy: 'prompts-first', ...OF_FRAMEWORK.sglang },
  // It lets nobody in whose output may not fit.
  trtllm: { ...COMMON, name: 'trtllm', maxTokens: 20_000, reserved: 1, ...OF_FRAMEWORK.trtllm },
  // None of them: fitted to the measurements of all three, and steps as most have them.
  typical: { ...COMMON, name: 'typical', ...OF_FRAMEWORK.typical },
};

/** What published recipes set by the load. */
const RECIPES = {
  /** SGLang on Blackwell looks for requests every 10 steps below 16 at once, else every 30. */
  sglang: { few: 10, many: 30, from: 16 },
  /**
   * TensorRT-LLM's attention groups wait so many steps for each other's prompts, and a step has room for one prompt, but for
   * mixtures without latent attention, whose servers are started with all that a step may have.
   */
  trtllm: { waits: 60, spare: 64 },
} as const;

/** What an instance serves, as far as its recipe depends on it. */
export interface RecipeLoad {
  readonly architecture: string;
  /** Attention groups. */
  readonly groups: number;
  /** Requests at once; undefined where they come by themselves. */
  readonly atOnce: number | undefined;
  /** Tokens of the longest prompt. */
  readonly longest: number;
  /** A mixture without latent attention. */
  readonly plainMixture: boolean;
}

/** A framework as its published recipes set it up for a load. */
export function withRecipe(framework: Framework, load: RecipeLoad): Framework {
  const { architecture, groups, atOnce = 1, longest, plainMixture } = load;
  if (framework.name === 'sglang' && architecture.startsWith('blackwell')) {
    const { few, many, from } = RECIPES.sglang;
    return { ...framework, pollSteps: atOnce < from ? few : many };
  }
  if (framework.name === 'trtllm') {
    const { waits, spare } = RECIPES.trtllm;
    const one = Math.min(framework.maxTokens, longest + Math.ceil(atOnce / groups) + spare);
    const maxTokens = plainMixture ? framework.maxTokens : one;
    return { ...framework, maxTokens, pollSteps: groups > 1 ? waits : 1 };
  }
  return framework;
}

/** What kernels inside an engine take beside `kernelUs`, and what layers have beyond a plain one. Of no framework or model. */
export interface Fitted {
  readonly attention: number;
  readonly dense: number;
  /** Times that on Blackwell, whose memory is faster than what its products read at. */
  readonly denseBlackwell: number;
  readonly experts: number;
  /** Times that where experts of 4 bits are multiplied by units for them. */
  readonly expertsOfFour: number;
  /** 1e9 bytes a second of experts of 4 bits that a multiprocessor widens to 16 before it multiplies. */
  readonly widensGbPerS: number;
  /** Prompts through such experts take so much longer: each tile of rows widens them anew. */
  readonly promptWidened: number;
  /** Of the bytes of all-reduces, and of rows to the experts and back. */
  readonly reduce: number;
  readonly exchange: number;
  /** us of an all-reduce of two ranks, and more for each further doubling, before the first byte. */
  readonly reduceUs: number;
  readonly reduceMoreUs: number;
  /** us of dispatch and combine, before the first byte. */
  readonly exchangeUs: number;
  /** us that a mixture, a shared expert, latent attention, and a linear layer have beyond a plain layer. */
  readonly mixtureUs: number;
  readonly sharedUs: number;
  readonly latentUs: number;
  readonly linearUs: number;
  /** us of a layer whose activations are scaled by blocks, of 128 or of 16, before each of its products. */
  readonly blocksUs: number;
  /** Times of all these launches on Blackwell, which starts a kernel before the last one has ended. */
  readonly blackwell: number;
  /** Products and attention of prompts reach so much less of the peak than those of single tokens, and experts. */
  readonly prompt: number;
  readonly promptExperts: number;
  /** Times both on Blackwell, whose kernels for prompts are younger. */
  readonly promptBlackwell: number;
  /** Launches of a step with prompts, which no graph has captured, take so many times as long besides. */
  readonly eager: number;
}

export const FITTED: Fitted = FIGURES;

/**
 * Models whose plain published recipe, the script with no framework in its name, starts SGLang; the others start vLLM
 * (SemiAnalysisAI/InferenceX 843c625, benchmarks/single_node).
 */
const SERVED_WITH_SGLANG = /^(deepseek-(v3|r1)|qwen3\.5|glm-)/;

/** The framework of a model where nobody names one. @param model as `ModelFacts` names it. */
export function usualFramework(model: string): Framework {
  return FRAMEWORK[SERVED_WITH_SGLANG.test(model) ? 'sglang' : 'vllm'];
}

/** The framework of a name, and without one that of the model; `named` as a projection's region is told. @throws ConfigError */
export function frameworkOf(
  text: string | undefined,
  model: string,
): { readonly framework: Framework; readonly named?: FrameworkName } {
  if (text === undefined) return { framework: usualFramework(model) };
  const framework = frameworkNamed(text);
  return { framework, named: framework.name };
}

/** @throws ConfigError for a framework that is not known. */
export function frameworkNamed(text: string): Framework {
  const plain = text.toLowerCase().replace(/[^a-z]/g, '');
  const found =
    FRAMEWORKS.find((name) => plain.includes(name)) ?? (/tensorrt|trt/.test(plain) ? 'trtllm' : undefined);
  if (found !== undefined) return FRAMEWORK[found];
  throw new ConfigError(
    `There is no framework ${quoted(text)}${didYouMean(text, FRAMEWORKS)}. There are: ${FRAMEWORKS.join(', ')}.`,
  );
}
