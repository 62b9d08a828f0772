import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { product } from '../../src/core/math.ts';
import { checkGpus, formatFactors, readingsOf, type Reading } from '../../src/layout/readings.ts';
import { renderReadings } from '../../src/layout/render-readings.ts';
import { CARD_LAYOUT, parseLayout } from '../../src/layout/spec.ts';

function viewsOf(reading: Reading): string[] {
  return reading.views === null ? [] : [reading.views.attention, reading.views.expert].map(formatFactors);
}

describe('readingsOf the card', () => {
  const readings = readingsOf(CARD_LAYOUT);

  test('world sizes: 128, 256, 16, 256 and 16', () => {
    expect(readings.map(({ id, formula, worldSize }) => [id, formula, worldSize])).toEqual([
      ['folded', 'ep*pp*dp', 128],
      ['orthogonal', 'ep*pp*tp*dp', 256],
      ['attention-dp', 'tp*dp*pp', 16],
      ['expert-tensor', 'ep*pp*tp*dp', 256],
      ['vllm', 'tp*dp*pp', 16],
    ]);
  });

  test('both views of each', () => {
    expect(readings.map(viewsOf)).toEqual([
      ['tp 2 x attnDp 16 x pp 4 = 128', 'etp 1 x ep 16 x edp 2 x pp 4 = 128'],
      ['tp 2 x attnDp 32 x pp 4 = 256', 'etp 1 x ep 16 x edp 4 x pp 4 = 256'],
      [],
      ['tp 2 x attnDp 32 x pp 4 = 256', 'etp 2 x ep 16 x edp 2 x pp 4 = 256'],
      [],
    ]);
  });

  test('two of them are impossible and say why; the folded one runs', () => {
    expect(readings.filter((reading) => !reading.consistent).map((reading) => reading.reason)).toEqual([
      'ep (16) does not divide the tp*dp = 4 ranks of a stage',
      'expert parallelism takes all tp*dp = 4 ranks of a stage, not ep (16)',
    ]);
    expect(readings.filter((reading) => reading.runs).map((reading) => reading.id)).toEqual(['folded']);
  });

  test('which of them have 256, 16 or an unknown number of GPUs', () => {
    const matches = (gpus?: number): (boolean | null)[] =>
      readingsOf(CARD_LAYOUT, gpus).map((reading) => reading.matchesGpus);
    expect(matches(128)).toEqual([true, false, false, false, false]);
    expect(matches(256)).toEqual([false, true, false, true, false]);
    expect(matches(16)).toEqual([false, false, false, false, false]);
    expect(matches()).toEqual([null, null, null, null, null]);
  });
});

test('readings coincide when tp is 1, and when tp equals ep', () => {
  const coincide = (text: string): Record<string, readonly string[]> =>
    Object.fromEntries(readingsOf(parseLayout(text)).map((reading) => [reading.id, reading.coincidesWith]));
  expect(coincide('ep=8,pp=2,dp=3')).toEqual({
    folded: ['orthogonal', 'expert-tensor'],
    orthogonal: ['folded', 'expert-tensor'],
    'attention-dp': [],
    'expert-tensor': ['folded', 'orthogonal'],
    vllm: [],
  });
  expect(coincide('ep=8,tp=4,dp=2')).toMatchObject({ vllm: ['attention-dp'], 'attention-dp': ['vllm'] });
  expect(coincide('ep=4,tp=4,dp=2')).toMatchObject({ folded: ['attention-dp'], 'attention-dp': ['folded'] });
});

test('a folded reading whose tp does not divide ep is impossible', () => {
  expect(readingsOf(parseLayout('ep=6,tp=4'))[0]).toMatchObject({
    consistent: false,
    reason: 'tp (4) does not divide ep (6), whose ranks form the TP groups',
    views: null,
  });
});

test('both views of a consistent reading multiply to its world size', () => {
  const size = fc.integer({ min: 1, max: 12 });
  fc.assert(
    fc.property(fc.record({ ep: size, pp: size, tp: size, dp: size }), (spec) => {
      for (const { views, worldSize, consistent, reason } of readingsOf(spec)) {
        expect(consistent).toBe(reason === null);
        for (const view of views === null ? [] : [views.attention, views.expert]) {
          expect(product(view.map((factor) => factor.size))).toBe(worldSize);
          expect(view.every((factor) => Number.isInteger(factor.size))).toBe(true);
        }
      }
    }),
  );
});

describe('checkGpus', () => {
  test('accepts the folded world', () => {
    checkGpus(CARD_LAYOUT, 128);
  });

  test('refuses 256 for the card and explains the fold', () => {
    const check = (): void => checkGpus(CARD_LAYOUT, 256);
    expect(check).toThrow(ConfigError);
    expect(check).toThrow(
      '256 GPUs do not match the layout ep=16,pp=4,tp=2,dp=2, which has ep*pp*dp = 16*4*2 = 128 ranks: ' +
        'EP is folded over the attention ranks and does not multiply the world; the 16 expert ranks of a stage ' +
        'are also its TP groups of 2. 256 is ep*pp*tp*dp (the readings: orthogonal, expert-tensor), which ' +
        'Moebius does not run. Try 128 GPUs, or ep=16,pp=4,tp=2,dp=4 for 256.',
    );
  });

  test('a number that no reading gives', () => {
    expect(() => checkGpus(CARD_LAYOUT, 100)).toThrow(/No reading of the tuple gives 100\. Try 128 GPUs\.$/);
    expect(() => checkGpus(CARD_LAYOUT, NaN)).toThrow(/^NaN GPUs do not match/);
    expect(() => checkGpus(CARD_LAYOUT, 0)).toThrow(/Try 128 GPUs\.$/);
  });
});

test('renderReadings lists all five, fits 80 columns and marks the one that runs', () => {
  const text = renderReadings(CARD_LAYOUT, 256);
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(text).toContain('5 readings of ep=16,pp=4,tp=2,dp=2 are in use');
  expect(text).toMatch(/^\* folded +ep\*pp\*dp = 128$/m);
  expect(text).toMatch(/^ {2}orthogonal +ep\*pp\*tp\*dp = 256 {2}<- 256 GPUs$/m);
  expect(text).toMatch(/^ {2}attention-dp +tp\*dp\*pp = 16 {2}impossible$/m);
});
