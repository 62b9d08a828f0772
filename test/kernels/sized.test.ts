/** Which kernel serves how many rows. */
import { expect, test } from 'vitest';
import { prepareSized, sizedFor } from '../../src/kernels/sized.ts';

test.each([
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 8],
  [8, 8],
  [9, 16],
  [16, 16],
  [17, 32],
  [48, 32],
  [49, 64],
  [100_000, 64],
  [Infinity, 64],
])('%d rows are served by the kernel that is chosen for %d', async (rows, chosenFor) => {
  const all = await prepareSized((forRows) => Promise.resolve(forRows));
  expect(sizedFor(all, rows)).toBe(chosenFor);
});
