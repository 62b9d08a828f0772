/** Tokens per millisecond and per GPU, and what the target asks for beside it. */
import { NS_PER_MS } from '../../core/units.ts';
import type { LayoutSpec } from '../../layout/spec.ts';
import type { MoeConfig } from '../../model/config.ts';
import { flopsPerToken } from '../../model/cost.ts';
import { targetNeeds, type TargetNeeds } from '../../model/target.ts';

/** Of the reference deployment. */
export const TARGET_TOKENS_PER_MS_PER_GPU = 100;

/**
 * One adapter plays all N ranks in turn, so N such adapters would take 1/N of the time, and each of them passes
 * tokens / time: with perfect scaling, nothing overlapped, and no network.
 */
export function tokensPerMs(tokens: number, ns: number): number {
  return tokens / (ns / NS_PER_MS);
}

/** Why the number above is what one GPU of N would reach, for print. */
export const RATE_NOTE =
  'One adapter plays all ranks in turn; tokens / its time is what each of N such adapters would reach with ' +
  'perfect scaling, nothing overlapped and no network.';

/** FLOP/s that the forward pass made use of: its GEMMs' and attention's FLOP over the whole time. */
export function usefulFlopsPerSecond(
  config: MoeConfig,
  tokens: number,
  meanKvLength: number,
  ns: number,
): number {
  return (tokens * flopsPerToken(config, meanKvLength).total) / (ns / 1e9);
}

/** Assumed where the reference deployment says nothing; printed with every number that rests on it. */
export const TARGET_ASSUMPTIONS = {
  tokensPerMicroBatch: 8192,
  kvLength: 512,
  tokensPerKvRead: 128,
  bytesPerWeight: 2,
  bytesPerActivation: 2,
} as const;

export interface TargetComparison {
  readonly preset: string;
  readonly targetTokensPerMsPerGpu: number;
  readonly targetTokensPerMs: number;
  readonly worldSize: number;
  readonly needs: TargetNeeds;
  readonly assumptions: Readonly<Record<keyof typeof TARGET_ASSUMPTIONS, number>>;
}

export function compareWithTarget(
  config: MoeConfig,
  layout: LayoutSpec,
  worldSize: number,
): TargetComparison {
  const needs = targetNeeds(config, TARGET_TOKENS_PER_MS_PER_GPU, {
    tp: layout.tp,
    pp: layout.pp,
    ep: layout.ep,
    ...TARGET_ASSUMPTIONS,
  });
  return {
    preset: config.name,
    targetTokensPerMsPerGpu: TARGET_TOKENS_PER_MS_PER_GPU,
    targetTokensPerMs: TARGET_TOKENS_PER_MS_PER_GPU * worldSize,
    worldSize,
    needs,
    assumptions: TARGET_ASSUMPTIONS,
  };
}
