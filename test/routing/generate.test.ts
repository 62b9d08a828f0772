import { expect, test } from 'vitest';
import { at, range, sum } from '../../src/core/math.ts';
import { updatedBias } from '../../src/routing/balance/bias.ts';
import { checkChoices } from '../../src/routing/choices.ts';
import { maxOverMean } from '../../src/routing/load.ts';
import {
  chooseTopK,
  formatGenerator,
  generateChoices,
  logitsOf,
  parseGenerator,
  TRACE_GENERATORS,
} from '../../src/routing/trace/generate.ts';

const sizes = { numTokens: 600, numExperts: 16, topK: 2, seed: 1 };

function loadOf(ids: ArrayLike<number>, numExperts: number): number[] {
  const load = range(numExperts).map(() => 0);
  for (const id of Array.from(ids)) load[id] = at(load, id) + 1;
  return load;
}

test.each(TRACE_GENERATORS)('%s: valid choices, the same for the same seed', (name) => {
  const made = generateChoices(parseGenerator(name), sizes);
  checkChoices(made);
  expect(made.ids_TK.length).toBe(1200);
  expect(sum(Array.from(made.scores_TK))).toBeCloseTo(600, 9);
  expect(generateChoices(parseGenerator(name), sizes).ids_TK).toEqual(made.ids_TK);
  expect(parseGenerator(formatGenerator(parseGenerator(name)))).toEqual(parseGenerator(name));
});

test('Zipf 0.8, top-2 of 16 by successive sampling: the hottest has 3.37 times the mean', () => {
  const { ids_TK } = generateChoices(parseGenerator('zipf:0.8'), { ...sizes, numTokens: 20_000 });
  expect(Math.abs(maxOverMean(loadOf(ids_TK, 16)) - 3.37)).toBeLessThan(0.06);
});

test('adversarial: all tokens take the first experts', () => {
  const { ids_TK } = generateChoices(parseGenerator('adversarial'), sizes);
  expect(loadOf(ids_TK, 16).slice(0, 3)).toEqual([600, 600, 0]);
});

test.each([
  ['zpf:1', /no generator "zpf" \(did you mean "zipf"/],
  ['zipf:-1', /from 0 to 10/],
  ['zipf:', /from 0 to 10/],
  ['zipf:1:2', /from 0 to 10/],
  ['uniform:1', /takes no number/],
  ['sequence-local:1.5', /must be whole/],
])('%s is refused', (text, message) => expect(() => parseGenerator(text)).toThrow(message));

test('more experts a token than there are, or more scores than can be held, are refused', () => {
  expect(() => generateChoices(parseGenerator('uniform'), { ...sizes, topK: 17 })).toThrow(/topK \(17\)/);
  expect(() => generateChoices(parseGenerator('uniform'), { ...sizes, numTokens: 2 ** 30 })).toThrow(
    /fewer tokens/,
  );
});

test('the bias: b + rate sign(mean - load)', () => {
  expect(updatedBias([0, 0, 0.5], [4, 1, 1], 0.1)).toEqual([-0.1, 0.1, 0.6]);
  expect(updatedBias([1, 2], [3, 3], 0.1)).toEqual([1, 2]);
});

test('the bias turns the choice, not the weights', () => {
  const rows = [Float64Array.of(0, Math.log(3))];
  const choices = chooseTopK(rows, { topK: 1, bias_E: [1, 0] });
  expect([...Array.from(choices.ids_TK), at(choices.scores_TK, 0)]).toEqual([0, 1]);
  expect([...Array.from(choices.all_TE ?? [])].map((s) => Number(s.toFixed(12)))).toEqual([0.25, 0.75]);
});

test('Zipf 1.2 over 16 experts: below 1.10 within 200 steps of the controller', () => {
  const next = logitsOf(parseGenerator('zipf:1.2'), sizes);
  const stepLoad = (tokens: number, bias_E: readonly number[]): number[] =>
    loadOf(
      chooseTopK(
        range(tokens).map(() => next()),
        { topK: 2, score: 'sigmoid', bias_E },
      ).ids_TK,
      16,
    );
  let bias = range(16).map(() => 0);
  expect(maxOverMean(stepLoad(1024, bias))).toBeGreaterThan(4);
  for (const step of range(200))
    bias = updatedBias(bias, stepLoad(512, bias), 0.02 * (1 / 20) ** (step / 200));
  expect(maxOverMean(stepLoad(16_384, bias))).toBeLessThan(1.1);
});
