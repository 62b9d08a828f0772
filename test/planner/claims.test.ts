/** Verdicts on the reference deployment's statements, by hand-worked values, and files of one's own. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { range, sum } from '../../src/core/math.ts';
import { CARD_STRATEGY } from '../../src/planner/claims/card.ts';
import { checkNamed, CHECKS } from '../../src/planner/claims/checks.ts';
import { evaluateClaims, type ClaimResult } from '../../src/planner/claims/evaluate.ts';
import { renderClaims } from '../../src/planner/claims/render.ts';
import { overflowShare, shares, zipfWeights } from '../../src/planner/claims/skew.ts';
import { checkStrategy, readStrategy, type Claim } from '../../src/planner/claims/strategy.ts';
import { claims } from '../../src/cli/verbs/plan/claims.ts';

const report = evaluateClaims(CARD_STRATEGY);
const of = (id: string): ClaimResult => {
  const found = report.claims.find((claim) => claim.id === id);
  if (found === undefined) throw new Error(`no claim ${id}`);
  return found;
};

/** The statement, its verdict, and the value of its readings in their order. */
const EXPECTED: readonly [id: string, verdict: ClaimResult['verdict'], values: readonly number[]][] = [
  ['gpus', 'holds under condition', [128, 256, 256]],
  ['gpu-64gb', 'holds', [2]],
  ['heads', 'holds', [8]],
  ['one-expert-per-gpu', 'holds', [1]],
  ['system-rate', 'holds', [12800]],
  ['system-rate-256', 'fails', [25600]],
  ['ttft-40-percent', 'fails', [25]],
  ['ttft-25-percent', 'holds', [25]],
  ['ttft-bound-or-value', 'cannot be decided', [25, 33.333, 40]],
  ['ttft-40-pipeline', 'holds under condition', [30]],
  ['fewer-bubbles', 'holds under condition', [22.857]],
  ['bubbles-equal', 'holds', [0]],
  ['half-communication', 'holds under condition', [33.333, 66.667, 50, 66.667, 50]],
  ['memory-share', 'cannot be decided', []],
  ['memory-used', 'holds', [15.168]],
  ['room-for-growth', 'holds', [4.2194]],
  ['gpus-optimal', 'fails', [31]],
  ['tokens-per-day', 'cannot be decided', [1.4251, 20.197, 36.112]],
  ['energy', 'cannot be decided', [7]],
  ['kv-read', 'holds under condition', [511.17]],
  ['rows-per-expert', 'cannot be decided', [295.22, 2361.8]],
  ['stage-tokens', 'fails', [400, 800]],
  ['in-service', 'cannot be decided', [76.8]],
  ['bytes-in-flight', 'fails', [25.28]],
  ['ep-near-gpus', 'fails', [12.5]],
  ['ep-locality', 'fails', [3.38, 3.7]],
  ['overflow', 'fails', [20.73]],
  ['overflow-uniform', 'holds', [4.531]],
  ['rows-leave', 'holds under condition', [93.75, 87.5, 100]],
  ['hierarchical', 'holds under condition', [50, 76.667]],
  ['dispatch-rate', 'holds under condition', [6.144]],
  ['tp-rate', 'holds under condition', [6.5536, 13.107]],
  ['activation-staging', 'holds under condition', [0.8192, 1.6384]],
  ['fault-tolerance', 'fails', [6400]],
  ['availability', 'holds under condition', [93.798, 87.981, 99.615]],
  ['ab-testing', 'fails', [50]],
  ['chunked-pipeline', 'holds', [-67.969]],
  ['scaling-ttft', 'fails', [78.226]],
  ['eplb-optimum', 'fails', [8.851]],
];

test.each(EXPECTED)('%s: %s', (id, verdict, values) => {
  const claim = of(id);
  expect(claim.verdict).toBe(verdict);
  const found = claim.readings.map(({ value }) => value);
  expect(found.length).toBe(values.length);
  for (const [i, value] of values.entries()) expect(found[i]).toBeCloseTo(value, value >= 100 ? 0 : 2);
});

const beside = (id: string, name: RegExp): number | undefined =>
  of(id).beside.find((b) => name.test(b.name))?.value;

test('what explains a figure stands beside it', () => {
  expect(beside('fewer-bubbles', /of 4 stages/)).toBeCloseTo(42.857, 3);
  expect(beside('fewer-bubbles', /of 2 stages/)).toBeCloseTo(20, 9);
  expect(beside('fewer-bubbles', /equal/)).toBe(12);
  // Four stages, four micro-batches: m + p - 1.
  expect(beside('bubbles-10-percent', /m \+ p - 1/)).toBe(7);
  expect(beside('hierarchical', /one copy/)).toBeCloseTo(23.333, 3);
  expect(beside('room-for-growth', /free on a GPU/)).toBeCloseTo(48.83, 2);
  expect(beside('memory-used', /on all GPUs/)).toBeCloseTo(1.9415, 4);
  expect(beside('in-service', /requests/)).toBe(37500);
  expect(beside('availability', /down/)).toBeCloseTo(12.02, 2);
  expect(beside('gpu-64gb', /H100/)).toBe(64);
  for (const [ep, value] of [
    [2, 1.026],
    [4, 1.187],
    [8, 1.902],
    [16, 3.38],
  ] as const) {
    expect(beside('ep-locality', new RegExp(`^EP=${ep}$`))).toBeCloseTo(value, 2);
  }
});

const solved = (id: string, input: string): number | undefined =>
  of(id).solutions.find((solution) => solution.input === input)?.value;

describe('the inverse solver', () => {
  test('finds micro-batches, parameters, MFU and bandwidth', () => {
    expect(solved('ttft-40-pipeline', 'microBatches')).toBe(9);
    expect(solved('bubbles-10-percent', 'microBatches')).toBe(27);
    expect(solved('fewer-bubbles', 'microBatches')).toBe(12);
    // 989 TFLOP/s at 40 %, 2 FLOP a parameter, 1e5 tokens/s.
    expect(solved('rate-per-gpu', 'activeParameters')).toBeCloseTo(1.978, 3);
    expect(solved('rate-per-gpu', 'mfu')).toBeCloseTo((100 * 2 * 0.3 * 100) / 989, 3);
    expect(solved('kv-read', 'bandwidthGBs')).toBeCloseTo(2048 * 6.5536, 0);
    expect(solved('system-rate-256', 'gpus')).toBe(128);
  });

  test('gives a bound that holds, and does not beyond it', () => {
    const check = checkNamed('compute-rate', 'test');
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 500, noNaN: true }), (rate) => {
        const claim: Claim = { id: 'a', says: 'a', check: 'compute-rate', relation: 'at least', value: rate };
        const [result] = evaluateClaims({
          name: 'x',
          given: { activeParameters: 1 },
          claims: [claim],
        }).claims;
        const bound = result?.solutions.find(({ input }) => input === 'activeParameters');
        if (bound === undefined) throw new Error('no bound');
        const at = (value: number) =>
          check.readings({ activeParameters: value, peakTflops: 989, mfu: 40 })[0]?.value ?? NaN;
        expect(at(bound.value)).toBeGreaterThanOrEqual(rate * (1 - 1e-8));
        expect(at(bound.value * 1.001)).toBeLessThan(rate);
      }),
      { numRuns: 20 },
    );
  });
});

test('capacity: the exact table of 16 experts, top-2', () => {
  const lost = (zipf: number, tokens: number) =>
    [1, 1.25, 1.5, 2].map((cf) => 100 * overflowShare(shares(zipfWeights(16, zipf), 2), tokens, 2, cf));
  const near = (found: number[], wanted: number[], digits: number) => {
    for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, digits);
  };
  near(lost(0, 64), [13.05, 4.53, 1.18, 0.03], 2);
  near(lost(0, 1024), [3.3], 2);
  near(lost(0.8, 1024), [27.2, 20.7, 15.9, 9.3], 1);
  near(lost(1.2, 1024), [40.6, 34.6, 29.8, 22.4], 1);
});

test('capacity: sums of the binomial as its definition has them', () => {
  const choose = (n: number, x: number): number =>
    range(x).reduce((ways, i) => (ways * (n - i)) / (i + 1), 1);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.double({ min: 0.1, max: 2, noNaN: true }),
      (tokens, p, factor) => {
        const capacity = Math.ceil((tokens * factor) / 2 - 1e-9);
        const lost = [p, 1 - p].map((q) =>
          sum(
            range(tokens + 1).map(
              (x) => Math.max(0, x - capacity) * choose(tokens, x) * q ** x * (1 - q) ** (tokens - x),
            ),
          ),
        );
        expect(overflowShare([p, 1 - p], tokens, 1, factor)).toBeCloseTo(sum(lost) / tokens, 11);
      },
    ),
  );
});

test('every check reads its inputs only, and gives numbers', () => {
  for (const [name, check] of CHECKS) {
    const x = Object.fromEntries(
      Object.entries(check.inputs).map(([input, { assumed, range }]) => [
        input,
        assumed ?? Math.max(2, range?.[0] ?? 2),
      ]),
    );
    for (const { value } of check.readings(x)) expect(Number.isFinite(value), name).toBe(true);
  }
});

test('lines fit 80 columns, and every command prints its statement again', async () => {
  expect(
    renderClaims(report, true)
      .split('\n')
      .filter((line) => line.length > 80),
  ).toEqual([]);
  const again = await claims({ only: 'kv-read' });
  expect(again.claims[0]).toEqual(of('kv-read'));
  const [wider] = (await claims({ only: 'dispatch-rate', set: ['modelDim=4096'] })).claims;
  expect(wider?.readings[0]?.value).toBeCloseTo(24.576, 3);
});

describe("a file of one's own", () => {
  const MINE = { name: 'mine', given: { gpus: 8 }, claims: [{ id: 'a', says: 'b', check: 'system-rate' }] };
  const bytes = (file: unknown) => new TextEncoder().encode(JSON.stringify(file));

  test('is read, and what it does not give is told', () => {
    const { claims: results } = evaluateClaims(readStrategy(bytes(MINE), 'mine.json'), 'mine.json');
    expect(results[0]).toMatchObject({
      verdict: 'cannot be decided',
      missing: ['tokensPerMsPerGpu'],
      command: 'moebius claims mine.json --only a',
    });
  });

  test('the example is one', () => {
    expect(checkStrategy(JSON.parse(JSON.stringify(CARD_STRATEGY)), 'x').claims.length).toBeGreaterThan(40);
  });

  test.each([
    ['an unknown key', { ...MINE, gven: {} }, /"gven".*did you mean "given"/],
    ['an unknown input', { ...MINE, given: { gpu: 8 } }, /"gpu".*did you mean "gpus"/],
    [
      'an unknown check',
      { ...MINE, claims: [{ id: 'a', says: 'b', check: 'sytem-rate' }] },
      /did you mean "system-rate"/,
    ],
    [
      'an unknown field of a claim',
      { ...MINE, claims: [{ ...MINE.claims[0], relatio: 'is' }] },
      /did you mean "relation"/,
    ],
    [
      'a relation alone',
      { ...MINE, claims: [{ ...MINE.claims[0], relation: 'is' }] },
      /a relation but no value/,
    ],
    ['a negative rate', { ...MINE, given: { gpus: 8, tokensPerMsPerGpu: -1 } }, /tokensPerMsPerGpu is -1/],
    ['a negative number that no claim reads', { ...MINE, given: { gpus: 8, stages: -1 } }, /stages is -1/],
    ['half a GPU', { ...MINE, given: { gpus: 0.5 } }, /gpus is 0.5; it must be a whole number/],
    ['a claim twice', { ...MINE, claims: [MINE.claims[0], MINE.claims[0]] }, /twice/],
    ['no claims', { ...MINE, claims: [] }, /claims/],
    ['no object', 5, /Expected Object/],
  ])('with %s is refused', (_what, file, message) => {
    expect(() => readStrategy(bytes(file), 'mine.json')).toThrow(message);
  });
});
