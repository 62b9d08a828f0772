/** Which sizes an exponent rests on where many rise above the launch: the largest. */
import { expect, test } from 'vitest';
import { fittedSizes } from '../../src/bench/model/growth.ts';

test('of nine sizes that grow, the last five', () => {
  const points = Array.from({ length: 12 }, (_, i) => ({ size: 2 ** i, leastNs: 1 + 100 * 2 ** i }));
  expect(fittedSizes({ expected: 1 }, points).sizes).toEqual([128, 256, 512, 1024, 2048]);
});
