/** A burst of a row: prepared anew, so that neither luck nor bad luck with memory stays for all rounds. */
import type { Entrant } from './rounds.ts';
import type { Calibration, Stopwatch } from './sampling.ts';

/** Samples shorter than this hold more of what surrounds them than of the kernel. A guess. */
export const LEAST_SAMPLE_NS = 4e6;
/** What the samples of a burst add up to, within limits. A guess, as is how many there are at most. */
const BURST_NS = 20e6;
const MOST_SAMPLES = 3;

export interface OpenedRow {
  readonly window: Stopwatch['window'];
  readonly destroy: () => void;
}

export function samplesOfBurst(windowNs: number): number {
  return Math.max(1, Math.min(MOST_SAMPLES, Math.round(BURST_NS / Math.max(1, windowNs))));
}

/** A few windows after one that does not count: the first of a burst is slower. */
export function burstOf(
  open: () => Promise<OpenedRow>,
  { repeats, windowNs }: Pick<Calibration, 'repeats' | 'windowNs'>,
): Entrant {
  return {
    burst: async () => {
      const { window, destroy } = await open();
      try {
        await window(repeats);
        const samples: number[] = [];
        for (let i = 0; i < samplesOfBurst(windowNs); i++) {
          const ns = await window(repeats);
          if (ns !== undefined) samples.push(ns / repeats);
        }
        return samples;
      } finally {
        destroy();
      }
    },
  };
}
