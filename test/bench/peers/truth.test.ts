import { describe, expect, test } from 'vitest';
import { examine, sampledRows, type Truth } from '../../../bench/peers/truth.ts';

/** Rows 0 and 2 of an output of three rows of two. */
const truth: Truth = {
  ...{ output: 'y', length: 6, width: 2, rows: [0, 2] },
  ...{ values: Float64Array.of(3, -3, 3, 3), budget: { atol: 1e-6, rtol: 0 } },
};
const outputs = (...values: number[]) => new Map([['y', Float64Array.from(values)]]);

describe('examine', () => {
  test('rows that are not sampled only have to be numbers', () => {
    expect(examine(outputs(3, -3, 99, 99, 3, 3), [truth], 0)).toEqual({ quality: 'exact', error: 0 });
  });

  test('an error is told as a share of the root mean square', () => {
    expect(examine(outputs(3, -3, 0, 0, 3, 3.03), [truth], 0.02).error).toBeCloseTo(0.01);
  });

  test('what is over the budget but explained is close, and wrong beyond that', () => {
    expect(examine(outputs(3, -3, 0, 0, 3, 3.03), [truth], 0.02).quality).toBe('close');
    expect(examine(outputs(3, -3, 0, 0, 3, 3.03), [truth], 0.005)).toMatchObject({
      ...{ quality: 'wrong', message: 'y[5] is 3.03, not 3' },
    });
  });

  test('within a wide budget, the error of fewer bits is close, not exact', () => {
    const wide = { ...truth, budget: { atol: 1, rtol: 0 } };
    expect(examine(outputs(3, -3, 0, 0, 3, 3.03), [wide], 0).quality).toBe('close');
  });

  test.each([
    ['NaN in a row that is not sampled', outputs(3, -3, NaN, 0, 3, 3), /y\[2\] is NaN/],
    ['infinity', outputs(3, -3, 0, 0, Infinity, 3), /y\[4\] is Infinity/],
    ['too few elements', outputs(3, -3), /2 elements, not 6/],
    ['no such output', new Map(), /no output y/],
  ])('%s is wrong whatever the tolerance', (_what, got, message) => {
    const found = examine(got, [truth], Infinity);
    expect(found.quality).toBe('wrong');
    expect(found.message).toMatch(message);
  });

  test('the worst of several outputs counts', () => {
    const other = { ...truth, output: 'z' };
    const got = new Map([...outputs(3, -3, 0, 0, 3, 3), ['z', Float64Array.of(3, -3, 0, 0, 3, 9)] as const]);
    expect(examine(got, [truth, other], 0.1)).toMatchObject({ quality: 'wrong', error: 2 });
    expect(examine(got, [other, truth], 0.1)).toMatchObject({ quality: 'wrong', error: 2 });
  });
});

test('sampled rows hold the first and the last, each once', () => {
  expect(sampledRows(3, 8)).toEqual([0, 1, 2]);
  expect(sampledRows(100, 4)).toEqual([0, 33, 66, 99]);
});
