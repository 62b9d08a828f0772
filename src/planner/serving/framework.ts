/**
 * What a serving framework adds to its kernels. Few figures, fitted once over all models and systems of the calibration
 * measurements; none is of a model.
 */

import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/near-names.ts';
import { quoted } from '../../core/quoted.ts';

export const FRAMEWORKS = ['vllm', 'sglang', 'trtllm', 'typical'] as const;
export type FrameworkName = (typeof FRAMEWORKS)[number];

export interface Framework {
  readonly name: string;
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
  /** ms from a request's arrival to its first schedule, and from a token to its reader. */
  readonly requestMs: number;
}

const COMMON = { maxTokens: 8192, memoryShare: 0.92, requestMs: 10 } as const;

export const FRAMEWORK: Readonly<Record<FrameworkName, Framework>> = {
  vllm: { ...COMMON, name: 'vllm', stepUs: 70, layerUs: 47.6, sequenceUs: 6.9, policy: 'mixed' },
  sglang: {
    ...COMMON,
    name: 'sglang',
    stepUs: 2002,
    layerUs: 19.2,
    sequenceUs: 17.5,
    policy: 'prompts-first',
  },
  trtllm: { ...COMMON, name: 'trtllm', stepUs: 203, layerUs: 38.1, sequenceUs: 6.5, policy: 'mixed' },
  // Where nobody says which: between the three.
  typical: { ...COMMON, name: 'typical', stepUs: 500, layerUs: 37, sequenceUs: 8.5, policy: 'mixed' },
};

/** What kernels inside an engine take beside `kernelUs`, and what layers have beyond a plain one. Of no framework or model. */
export const FITTED = {
  attention: 1.29,
  dense: 0.87,
  experts: 1.02,
  /** More for experts of 4 bits that are widened to 16 before they are multiplied. */
  widened: 0.39,
  communication: 1.28,
  /** us of an all-reduce for each doubling of its ranks, before the first byte. */
  reduceUs: 5.4,
  /** us of dispatch and combine, before the first byte. */
  exchangeUs: 11.2,
  /** us that a mixture, latent attention, and a linear layer have beyond a plain layer. */
  mixtureUs: 31,
  latentUs: 15.5,
  linearUs: 23.2,
  /** Times of all these launches on Blackwell, which starts a kernel before the last one has ended. */
  blackwell: 0.8,
  /** Prompts reach so much less of the peak than the roofline has them. */
  prompt: 1,
} as const;

/** @throws ConfigError for a framework that is not known. */
export function frameworkNamed(text: string): Framework {
  const plain = text.toLowerCase().replace(/[^a-z]/g, '');
  const found = FRAMEWORKS.find((name) => plain === name || plain === `tensor${name.slice(1)}`);
  if (found !== undefined) return FRAMEWORK[found];
  throw new ConfigError(
    `There is no framework ${quoted(text)}${didYouMean(text, FRAMEWORKS)}. There are: ${FRAMEWORKS.join(', ')}.`,
  );
}
