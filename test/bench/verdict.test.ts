/** What a run amounts to, on grounds of our own: every fault shows, and an interval decides what it can. */
import { describe, expect, test } from 'vitest';
import type { CardRate } from '../../src/bench/model/card-rate.ts';
import { cardTokensPerMs } from '../../src/bench/model/card-rate.ts';
import type { KernelTiming } from '../../src/bench/kernels/suite.ts';
import type { BenchResult } from '../../src/bench/result.ts';
import { ratesOf } from '../../src/bench/assemble.ts';
import { requirePass } from '../../src/bench/run.ts';
import { ratioOf, type ForwardComparison, type ForwardTiming } from '../../src/bench/model/sharded.ts';
import type { Timing } from '../../src/measure/timing.ts';
import { failuresOf, verdictOf, type Grounds, type Judgement } from '../../src/bench/verdict.ts';
import { hasPassed } from '../../src/bench/validate.ts';
import { flopsPerToken } from '../../src/model/cost.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { renderVerdict } from '../../src/report/terminal/bench/tables.ts';

const measured: Timing = { state: 'measured', clock: 'gpu', samplesNs: [5, 5, 5], repeats: 1 };
const row = (timing: Timing, choice?: 'default' | 'tuned'): KernelTiming => ({
  ...{ family: 'rope', name: 'r', variant: 'v', chosen: choice !== undefined, flops: 1, bytes: 1, timing },
  ...(choice && { choice }),
});
const pass = (ns: number[]): ForwardTiming => ({
  ...{ layout: '', worldSize: 128, samplesNs: ns, dispatches: 1, microBatches: 1, hostSyncsPerLayer: 0 },
  ...{ profiles: [], liveBytes: 0, predictedBytes: 0 },
});
const forward = (sharded: number[], unsharded: number[], tokens = 4096): ForwardComparison => ({
  ...{ sequences: 128, tokensPerSequence: tokens / 128, tokens, logitsError: 0, pass: true },
  ...{ sharded: pass(sharded), unsharded: pass(unsharded), ratio: ratioOf(sharded, unsharded) },
});
const ones = [1, 1, 1, 1, 1, 1];

const grounds: Grounds = {
  adapter: { facts: { kind: 'software' } },
  checks: {
    kernels: [{ family: 'rope', cases: 1, runs: 2, failed: 0, worstShare: 0.5, failures: [] }],
    notRun: 0,
    model: {
      ...{ model: 'm', layout: '', worldSize: 128, pass: true, greedyTokens: 1 },
      checks: [
        {
          ...({ what: 'logits', who: 'sharded', against: 'known', pass: true } as const),
          ...{ found: '0', limit: '1' },
        },
      ],
    },
  },
  ceilings: [],
  kernels: [row(measured, 'default')],
  forward: forward([2, 2, 2, 2, 2, 2], ones),
  card: null,
};

const judged = (changes: Partial<Grounds>, what: Judgement['what']): Judgement => {
  const found = verdictOf({ ...grounds, ...changes }).judgements.find((one) => one.what === what);
  if (found === undefined) throw new Error(what);
  return found;
};
/** As the command does at its end. */
const ends = (changes: Partial<Grounds>) => (): void => {
  const all = { ...grounds, ...changes };
  const verdict = verdictOf(all);
  requirePass({ ...all, verdict, pass: verdict.outcome === 'pass' } as unknown as BenchResult);
};

test('all is well', () => {
  expect(verdictOf(grounds).outcome).toBe('pass');
  expect(verdictOf(grounds).judgements.map(({ state }) => state)).toEqual(['pass', 'pass', 'pass', 'open']);
  expect(ends({})).not.toThrow();
});

describe('a run fails', () => {
  const failing: [string, Partial<Grounds>, RegExp][] = [
    [
      'for a kernel that is wrong',
      {
        checks: {
          ...grounds.checks,
          kernels: [
            {
              ...{ family: 'rope', cases: 1, runs: 1, failed: 1, worstShare: 9 },
              failures: [{ name: 'n', variant: 'v', message: 'off' }],
            },
          ],
        },
      },
      /^1 check failed: rope, n, variant v: off$/,
    ],
    [
      'for a row above the roof',
      { kernels: [row(measured, 'default'), row({ state: 'failed', reason: 'above the roofline' })] },
      /^1 check failed: rope, r, variant v: above the roofline$/,
    ],
    [
      'for a forward pass that differs',
      { forward: { ...forward(ones, ones), pass: false } },
      /^1 check failed: the sharded forward pass differs/,
    ],
    [
      'for a probe whose result is wrong',
      { ceilings: [{ name: 'storage read', state: 'failed', reason: 'element 0 is 1' }] },
      /probe storage read: element 0 is 1$/,
    ],
    [
      'for the model',
      {
        checks: {
          ...grounds.checks,
          model: {
            ...{ model: 'm', layout: '', worldSize: 1, greedyTokens: 1, pass: false },
            checks: [
              {
                ...({ what: 'logits', who: 'sharded', against: 'known', pass: false } as const),
                ...{ found: '0.5', limit: '' },
              },
            ],
          },
        },
      },
      /^1 check failed: m: logits, sharded - known: 0\.5$/,
    ],
    [
      'for a model that could not be run',
      {
        checks: {
          ...grounds.checks,
          model: {
            ...{ model: 'm', layout: '', worldSize: 1, greedyTokens: 1, pass: false },
            checks: [],
            error: 'lost',
          },
        },
      },
      /^1 check failed: m: lost$/,
    ],
    [
      'for a model that did not pass, whatever its checks say',
      {
        checks: {
          ...grounds.checks,
          model: { ...{ model: 'm', layout: '', worldSize: 1, greedyTokens: 1, pass: false }, checks: [] },
        },
      },
      /^1 check failed: m: its check did not pass$/,
    ],
    [
      'for a ratio whose whole interval is above its limit',
      { forward: forward([3.2, 3.25, 3.3, 3.29, 3.35, 3.4], ones) },
      /^the bench failed: all ranks take 3\.29 times one rank \(3\.20 to 3\.40\): it misses the limit of 3$/,
    ],
  ];

  test.each(failing)('%s', (_what, changes, message) => {
    expect(verdictOf({ ...grounds, ...changes }).outcome).toBe('failed');
    expect(ends(changes)).toThrow(message);
  });

  test('validate too: kernels and the model both count', () => {
    expect(hasPassed([{ failed: 0 }], { pass: true })).toBe(true);
    expect(hasPassed([{ failed: 0 }], null)).toBe(true);
    expect(hasPassed([{ failed: 0 }], { pass: false })).toBe(false);
    expect(hasPassed([{ failed: 0 }, { failed: 1 }], { pass: true })).toBe(false);
  });
});

describe('what was not measured', () => {
  const skipped: Timing = { state: 'skipped', reason: 'no time left' };

  test('is no success when it is taken by default', () => {
    for (const choice of ['default', 'tuned'] as const) {
      const kernels = [row(measured, 'default'), row(skipped, choice)];
      expect(verdictOf({ ...grounds, kernels }).outcome).toBe('incomplete');
      expect(ends({ kernels })).toThrow(
        /^the bench is incomplete: 1 of 2 kernels measured; NOT MEASURED: 1, 1 of them taken by default \(no time left\)$/,
      );
    }
  });

  test('is said when it is another variant', () => {
    const kernels = [row(measured, 'default'), row(skipped)];
    expect(judged({ kernels }, 'timings')).toMatchObject({
      ...{ state: 'open', text: expect.stringContaining('NOT MEASURED: 1, 0 of them') as string },
    });
    expect(ends({ kernels })).not.toThrow();
  });

  test('is said when the clock cannot carry it', () => {
    const kernels = [row({ state: 'too-fine', clock: 'gpu', grainNs: 1, windowNs: 1 }, 'default')];
    expect(judged({ kernels }, 'timings')).toMatchObject({
      ...{ state: 'open', text: expect.stringContaining('the clock is too coarse') as string },
    });
  });

  test('runs of checks that were not made are named', () => {
    expect(judged({ checks: { ...grounds.checks, notRun: 7 } }, 'checks').text).toContain(
      'NOT CHECKED: 7 runs',
    );
  });
});

describe('the ratio', () => {
  const state = (sharded: number[], unsharded = ones, tokens?: number): string =>
    judged({ forward: forward(sharded, unsharded, tokens) }, 'ratio').state;

  test('is sharded over unsharded, round by round', () => {
    expect(ratioOf([20, 60], [10, 20])).toMatchObject({ low: 2, high: 3, median: 2.5, count: 2 });
    // A machine that changes speed changes both.
    expect(ratioOf([2, 4, 6], [1, 2, 3])).toMatchObject({ low: 2, high: 2, median: 2 });
  });

  test('is judged by its interval', () => {
    expect(state([2, 2.2, 2.4, 2.5, 2.9, 3])).toBe('pass');
    expect(state([2, 2.2, 2.4, 2.5, 2.9, 3.1])).toBe('open');
    expect(state([2.9, 3.2, 3.4, 3.5, 3.9, 4.1])).toBe('open');
    expect(state([3.01, 3.2, 3.4, 3.5, 3.9, 4.1])).toBe('fail');
    expect(state([NaN, 3.2, 3.4, 3.5, 3.9, 4.1])).not.toBe('pass');
  });

  test('is not judged on few samples, few tokens, or without a pass', () => {
    expect(state([9, 9, 9], [1, 1, 1])).toBe('open');
    expect(state([9, 9, 9, 9, 9, 9], ones, 512)).toBe('open');
    expect(judged({ forward: null }, 'ratio').state).toBe('open');
  });
});

describe('the target', () => {
  const rate = (...tokensPerMs: number[]): CardRate => ({
    ...{ state: 'measured', clock: 'host', tokens: 8192, layers: 4, modelLayers: 16 },
    ...{ samplesNs: tokensPerMs.map(() => 1), tokensPerMs },
  });
  const on = (kind: 'gpu' | 'software' | 'embedded-software' | 'unknown', card: CardRate | null) =>
    judged({ adapter: { facts: { kind } }, card }, 'target');

  test('is judged on a GPU only', () => {
    const fast = rate(200, 210, 220, 230, 240, 250);
    expect(on('gpu', fast).state).toBe('pass');
    for (const kind of ['software', 'embedded-software'] as const) {
      expect(on(kind, fast)).toMatchObject({ state: 'open', text: 'not judged on a software adapter' });
    }
    expect(on('unknown', fast)).toMatchObject({
      state: 'open',
      text: 'not judged: the adapter does not say what it is',
    });
  });

  test("from the interval of the card model's own rate; not reaching it is no failed check", () => {
    expect(on('gpu', rate(90, 91, 92, 93, 94, 95)).state).toBe('fail');
    expect(on('gpu', rate(90, 95, 99, 101, 104, 105)).state).toBe('open');
    expect(on('gpu', { state: 'skipped', reason: 'no memory' }).text).toBe('not judged: no memory');
    expect(ends({ adapter: { facts: { kind: 'gpu' } }, card: rate(1, 1, 1, 1, 1, 1) })).not.toThrow();
  });

  test('4 of 16 layers in 10 ms are 8,192 tokens in 40 ms', () => {
    expect(cardTokensPerMs(8192, 10e6, 4, 16)).toBeCloseTo(204.8);
  });
});

test('the rates of a pass: 4,096 tokens in 2 s, each attending to 16.5 positions on average', () => {
  const { config } = presetNamed('card');
  const rates = ratesOf({ config }, forward([1e9, 2e9, 3e9], [1e9, 1e9, 1e9]));
  expect(rates?.tokensPerMsPerGpu).toBeCloseTo(2.048);
  expect(rates?.unshardedTokensPerMs).toBeCloseTo(4.096);
  expect(rates?.usefulFlopsPerSecond).toBeCloseTo((4096 * flopsPerToken(config, 16.5).total) / 2);
});

test('failures are told in words, none for what passed', () => {
  expect(failuresOf(grounds)).toEqual([]);
});

test('the last lines name the outcome', () => {
  const kernels = [row({ state: 'skipped', reason: 'no time left' }, 'default')];
  const lines = renderVerdict(verdictOf({ ...grounds, kernels }));
  expect(lines[0]).toBe('Verdict: INCOMPLETE');
  expect(lines.join('\n')).toMatch(/timings {2}FAIL {2}0 of 1 kernels measured; NOT MEASURED/);
});
