/** How long to measure, with a clock of our own. */
import { describe, expect, test } from 'vitest';
import { sampleTiming, type Stopwatch } from '../../src/measure/sampling.ts';

interface Fake {
  /** True time of one run. */
  readonly runNs: number;
  readonly grainNs: number;
  /** Added to the n-th window, in turn. */
  readonly noise?: readonly number[];
  /** Windows whose reading is void. */
  readonly isVoid?: (index: number) => boolean;
}

/** A clock that truncates to its step, and what was asked of it. */
function fakeStopwatch({
  runNs,
  grainNs,
  noise = [0],
  isVoid,
}: Fake): Stopwatch & { readonly asked: number[] } {
  let time = 0;
  const asked: number[] = [];
  return {
    clock: 'gpu',
    grainNs,
    asked,
    now: () => time,
    window: (repeats) => {
      const index = asked.push(repeats) - 1;
      const ns = repeats * runNs * (1 + (noise[index % noise.length] ?? 0));
      time += ns;
      if (isVoid?.(index)) return Promise.resolve(undefined);
      return Promise.resolve(Math.floor(ns / grainNs) * grainNs);
    },
  };
}

test('a short run is repeated until its window is 100 steps long', async () => {
  const timing = await sampleTiming(fakeStopwatch({ runNs: 15_000, grainNs: 65_536 }));
  if (timing.state !== 'measured') throw new Error(timing.state);
  expect(timing.repeats * 15_000).toBeGreaterThanOrEqual(100 * 65_536);
  for (const ns of timing.samplesNs) expect(Math.abs(ns - 15_000) / 15_000).toBeLessThan(0.01);
});

test('a long run is not repeated', async () => {
  const timing = await sampleTiming(fakeStopwatch({ runNs: 50e6, grainNs: 1 }));
  expect(timing).toMatchObject({ state: 'measured', repeats: 1, clock: 'gpu' });
});

test('a run that stays below the clock is too fine, and has no number', async () => {
  const timing = await sampleTiming(fakeStopwatch({ runNs: 10, grainNs: 65_536 }), { maxRepeats: 512 });
  expect(timing).toEqual({ state: 'too-fine', clock: 'gpu', grainNs: 65_536, windowNs: 0 });
});

test('a clock that never moves is too fine too', async () => {
  const timing = await sampleTiming(fakeStopwatch({ runNs: 0, grainNs: 1 }), { maxRepeats: 64 });
  expect(timing.state).toBe('too-fine');
});

describe('how many samples', () => {
  test('few when they agree', async () => {
    const timing = await sampleTiming(fakeStopwatch({ runNs: 1e6, grainNs: 1 }), { minSamples: 4 });
    if (timing.state !== 'measured') throw new Error(timing.state);
    expect(timing.samplesNs).toHaveLength(4);
  });

  test('the most allowed when they do not', async () => {
    const noise = [0, 0.8, 0.1, 0.5, 0.9, 0.3];
    const timing = await sampleTiming(fakeStopwatch({ runNs: 1e6, grainNs: 1, noise }), { maxSamples: 17 });
    if (timing.state !== 'measured') throw new Error(timing.state);
    expect(timing.samplesNs).toHaveLength(17);
  });

  test('the least when the time is up', async () => {
    const noise = [0, 0.8, 0.1, 0.5];
    const stopwatch = fakeStopwatch({ runNs: 1e9, grainNs: 1, noise });
    const timing = await sampleTiming(stopwatch, { budgetNs: 1, minSamples: 3 });
    if (timing.state !== 'measured') throw new Error(timing.state);
    expect(timing.samplesNs).toHaveLength(3);
  });
});

test('void readings are left out', async () => {
  const stopwatch = fakeStopwatch({ runNs: 1e6, grainNs: 1, isVoid: (i) => i % 2 === 0 });
  const timing = await sampleTiming(stopwatch, { minSamples: 5 });
  if (timing.state !== 'measured') throw new Error(timing.state);
  expect(timing.samplesNs).toEqual([1e6, 1e6, 1e6, 1e6, 1e6]);
});

test('a clock that keeps going backwards fails instead of running on', async () => {
  const stopwatch = fakeStopwatch({ runNs: 1e6, grainNs: 1, isVoid: (i) => i > 1 });
  expect(await sampleTiming(stopwatch)).toEqual({
    state: 'failed',
    reason: 'the clock keeps going backwards',
  });
});

test('the first run of all, which compiles and pages in, is no sample', async () => {
  const stopwatch = fakeStopwatch({ runNs: 1e6, grainNs: 1, noise: [9, ...Array<number>(40).fill(0)] });
  const timing = await sampleTiming(stopwatch);
  if (timing.state !== 'measured') throw new Error(timing.state);
  expect(Math.max(...timing.samplesNs)).toBe(1e6);
});
