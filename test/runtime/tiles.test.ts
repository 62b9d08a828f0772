/** A list of tiles that the GPU counts never grows past the grid that it is dispatched with. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tilesRefusal } from '../../src/memory/rank-sizes.ts';

const sizes = (maxTokens: number, topK = 8, localExperts = 64, numSlots = 64) => ({
  ...{ maxTokens, shareTokens: maxTokens, topK, localExperts, numSlots, owners: 1 },
});

test('refused when tiles may be more than a grid holds, with what to do', () => {
  // 65,536 x 8 rows in tiles of 8 and 64 that are not full: 65,600.
  expect(tilesRefusal(sizes(65536), 8, 65535)).toMatch(
    /^maxTokens 65536 may give 64 experts 65600 tiles of 8 rows, but a grid holds 65535\. Use fewer tokens/,
  );
  expect(tilesRefusal(sizes(65536), 16, 65535)).toBeUndefined();
  // 65,471 + 64 = 65,535.
  expect(tilesRefusal(sizes(65471), 8, 65535)).toBeUndefined();
  expect(tilesRefusal(sizes(65472), 8, 65535)).toMatch(/ 65536 tiles of 8 rows, /);
});

test('tokens of all ranks of a group count', () => {
  expect(tilesRefusal(sizes(32768, 1, 16, 64), 2, 65535)).toMatch(/ tiles of 2 rows, but a grid holds 65535/);
  expect(tilesRefusal(sizes(32000, 1, 16, 64), 2, 65535)).toBeUndefined();
});

test('what passes has no more tiles, however the rows fall', () => {
  const rows = fc.array(fc.nat(60), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 16 }), (rowsOf, tileRows) => {
      const tokens = Math.max(1, ...rowsOf, Math.ceil(rowsOf.reduce((a, b) => a + b, 0) / 2));
      const tiles = rowsOf.reduce((total, n) => total + Math.ceil(n / tileRows), 0);
      if (tilesRefusal(sizes(tokens, 2, 4, 4), tileRows, 30) === undefined)
        expect(tiles).toBeLessThanOrEqual(30);
    }),
  );
});
