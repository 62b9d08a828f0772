/** How much f32 arithmetic a device does at its best, and what one dispatch may be given: half a second of it. */

/** The f32 peak of a device. */
export interface Peak {
  readonly flopsPerSecond: number;
  /** By a probe whose result was checked, here or when it was tuned; or a guess. */
  readonly source: 'measured' | 'assumed';
}

/** Seconds of its peak that one dispatch takes at most, so that no watchdog ends it. */
const LONGEST_S = 0.5;

/** A small GPU, which a browser's watchdog looks after, and a CPU, which none does. */
const ASSUMED_FLOPS = { gpu: 2e12, software: 2e11 };

export function assumedPeak(kind: keyof typeof ASSUMED_FLOPS): Peak {
  return { flopsPerSecond: ASSUMED_FLOPS[kind], source: 'assumed' };
}

/** The higher of what was measured: other work on the machine only lowers it. */
export function betterPeak(known: Peak, flopsPerSecond: number): Peak {
  const before = known.source === 'measured' ? known.flopsPerSecond : 0;
  return { flopsPerSecond: Math.max(before, flopsPerSecond), source: 'measured' };
}

export function longestDispatch({ flopsPerSecond }: Peak): number {
  return LONGEST_S * flopsPerSecond;
}

/** The peak of which so much work is the longest dispatch. */
export function peakOfLongest(flops: number): Peak {
  return { flopsPerSecond: flops / LONGEST_S, source: 'measured' };
}
