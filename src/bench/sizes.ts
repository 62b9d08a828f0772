/** How much of each check and of each timing, and when what is not taken by default gives way. */
import { NS_PER_S } from '../core/units.ts';

export interface BenchSizes {
  readonly prompts: number;
  /** Greedy tokens per prompt. */
  readonly tokens: number;
  readonly windows: number;
  readonly sequences: number;
  readonly tokensPerSequence: number;
  /** Samples of the forward pass at least. */
  readonly passes: number;
  /** Rounds of the kernels at most. */
  readonly rounds: number;
  readonly hostMs: number;
  /** Time for the probes of the adapter's ceilings. */
  readonly ceilingNs: number;
  /**
   * Since the start: runs of variants that are not taken by default are not begun after it. It only matters where no
   * shader has been compiled before, and keeps such a run within five minutes on two cores.
   */
  readonly otherChecksEndNs: number;
  /** The same for checks of these variants at the sizes that are timed. */
  readonly otherRowsEndNs: number;
  /** Since the start: growth is not measured after it. 0: never. */
  readonly growthEndNs: number;
}

/** Guesses, so that either run ends in the time that it promises. */
export const SIZES: Readonly<Record<'quick' | 'full', BenchSizes>> = {
  quick: {
    ...{ prompts: 1, tokens: 20, windows: 1, sequences: 64, tokensPerSequence: 8, passes: 3, rounds: 12 },
    ...{ hostMs: 30, ceilingNs: 3 * NS_PER_S },
    ...{ otherChecksEndNs: 0, otherRowsEndNs: 0, growthEndNs: 0 },
  },
  full: {
    ...{ prompts: 2, tokens: 50, windows: 2, sequences: 128, tokensPerSequence: 32, passes: 6, rounds: 12 },
    ...{ hostMs: 150, ceilingNs: 8 * NS_PER_S },
    ...{ otherChecksEndNs: 100 * NS_PER_S, otherRowsEndNs: 170 * NS_PER_S, growthEndNs: 240 * NS_PER_S },
  },
};

/** Host time to measure for. A guess at what a reader waits for. */
export const SECONDS = { quick: 35, full: 90 } as const;

/** Of the time to measure, what the kernels' rounds may take, and the forward pass. A guess. */
export const KERNEL_SHARE = 0.75;
export const FORWARD_SHARE = 0.25;
/** The same of the samples of growth, on top. A guess. */
export const GROWTH_SHARE = 0.03;
