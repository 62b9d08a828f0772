/** Spans summed by stage and phase, and the step of a clock: pure parts of the measurement. */
import { describe, expect, test } from 'vitest';
import { hostClockStepNs, stepOf } from '../../src/measure/clock.ts';
import { stageTimes } from '../../src/bench/model/sharded.ts';
import { profileStages } from '../../src/bench/model/stages.ts';
import { compareWithTarget, tokensPerMs, usefulFlopsPerSecond } from '../../src/bench/model/throughput.ts';
import { CARD_LAYOUT } from '../../src/layout/spec.ts';
import { flopsPerToken } from '../../src/model/cost.ts';
import { presetNamed } from '../../src/model/presets.ts';

describe('stepOf', () => {
  test('the example in its comment', () => {
    expect(stepOf([0n, 64n, 64n, 160n])).toEqual({ stepNs: 32, smallestNs: 64, readings: 3 });
  });

  test('readings in any order, and a clock that went backwards', () => {
    expect(stepOf([131072n, 0n, 65536n])).toMatchObject({ stepNs: 65536, smallestNs: 65536 });
  });

  test('a clock that never moves has no step', () => {
    expect(stepOf([5n, 5n, 5n])).toBeUndefined();
    expect(stepOf([])).toBeUndefined();
  });
});

test("the host clock's step is the smallest difference of two readings", () => {
  const readings = [0, 0, 500, 500, 700, 1700];
  let i = 0;
  expect(hostClockStepNs(() => readings[Math.min(i++, 5)] ?? 0, 5)).toBe(200);
});

describe('profileStages', () => {
  const profile = profileStages([
    { tag: { stage: 0, operation: 'attention' }, kernel: 'gemm', ns: 10 },
    { tag: { stage: 0, operation: 'experts' }, kernel: 'gemm', ns: 30 },
    { tag: { stage: 1, operation: 'attention' }, kernel: 'flash', ns: 20 },
    { tag: { stage: 0, operation: 'attention' }, kernel: 'flash', ns: 40 },
    { tag: { stage: 1, operation: 'attention' }, kernel: 'gemm', ns: undefined },
  ]);

  test('sums by stage and by phase, in order of first appearance', () => {
    expect(profile.totalNs).toBe(100);
    expect(profile.stages.map(({ stage, ns, passes }) => [stage, ns, passes])).toEqual([
      ['stage 0', 80, 3],
      ['stage 1', 20, 2],
    ]);
    expect(profile.stages[0]?.phases).toEqual([
      { phase: 'attention', ns: 50, passes: 2, share: 0.5 },
      { phase: 'experts', ns: 30, passes: 1, share: 0.3 },
    ]);
  });

  test('sums by kernel, the slowest first', () => {
    expect(profile.kernels.map(({ phase, ns }) => [phase, ns])).toEqual([
      ['flash', 60],
      ['gemm', 40],
    ]);
  });

  test('counts void readings instead of hiding them', () => {
    expect(profile.voidPasses).toBe(1);
  });

  test('stageTimes lines the samples of several passes up', () => {
    expect(stageTimes([profile, profile])[0]).toEqual({
      stage: 'stage 0',
      phase: 'attention',
      samplesNs: [50, 50],
    });
    expect(stageTimes([])).toEqual([]);
  });
});

describe('rates', () => {
  const card = presetNamed('card').config;

  test('4,096 tokens in 2 s are 2.048 tokens/ms', () => {
    expect(tokensPerMs(4096, 2e9)).toBeCloseTo(2.048);
  });

  test('useful FLOP/s are the FLOP of all tokens over the time', () => {
    expect(usefulFlopsPerSecond(card, 10, 16, 2e9)).toBeCloseTo((10 * flopsPerToken(card, 16).total) / 2);
  });

  test('the target asks for the FLOP of 100 tokens in every ms', () => {
    const target = compareWithTarget(card, CARD_LAYOUT, 128);
    const { needs } = target;
    expect(needs.flopsPerSecond).toBeCloseTo(1e5 * flopsPerToken(card, 512).total);
    expect(target.targetTokensPerMs).toBe(12_800);
    expect(needs.flopsPerSecond).toBeGreaterThan(5e13);
  });
});
