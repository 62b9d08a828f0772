/** What entries of the lists of models share. */
import type { HeadAttention, LatentAttention } from './facts.ts';

export const repository = (name: string): string => `config.json of ${name} on huggingface.co`;

export const heads = (count: number, kvHeads: number, headDim: number): HeadAttention => ({
  kind: 'heads',
  heads: count,
  kvHeads,
  headDim,
});

export const latent = (count: number, queryRank: number): LatentAttention => ({
  kind: 'latent',
  heads: count,
  queryRank,
  kvRank: 512,
  nopeDim: 128,
  ropeDim: 64,
  valueDim: 128,
});

/** What an entry has unless it says otherwise. */
export const PLAIN = {
  denseLayers: 0,
  denseDim: 0,
  sharedDim: 0,
  mtpLayers: 0,
  tied: false,
  precision: 'bf16',
} as const;
