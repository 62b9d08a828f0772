/** Grids of attention in pieces: all of it once, within what a dispatch takes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ceilDiv, product, range } from '../../../src/core/math.ts';
import { gridPieces, wholeGrid } from '../../../src/kernels/attention/grid.ts';

test('the example in its comment', () => {
  const pieces = gridPieces(
    { queries: 1, workgroups: 2 },
    { maxQueries: 5, numHeads: 3, numSequences: 1 },
    4,
  );
  expect(pieces.map(({ first, grid }) => [first.firstQuery, ...grid])).toEqual([
    [0, 4, 3, 1],
    [2, 4, 3, 1],
    [4, 2, 3, 1],
  ]);
});

test('20,000 queries in 4 slabs take two dispatches, 70,000 heads and sequences two each', () => {
  const block = { queries: 1, workgroups: 4 };
  const wide = gridPieces(block, { maxQueries: 20000, numHeads: 1, numSequences: 1 }, 65535);
  expect(wide.map(({ first, grid }) => [first.firstQuery, grid])).toEqual([
    [0, [65532, 1, 1]],
    [16383, [14468, 1, 1]],
  ]);
  const many = gridPieces(block, { maxQueries: 1, numHeads: 70000, numSequences: 70000 }, 65535);
  expect(many.map(({ grid }) => grid)).toEqual([
    [4, 65535, 65535],
    [4, 4465, 65535],
    [4, 65535, 4465],
    [4, 4465, 4465],
  ]);
});

test('every block of queries, head and sequence is in one piece, and a grid that fits is one', () => {
  const small = fc.integer({ min: 0, max: 40 });
  const sizes = fc.record({ maxQueries: small, numHeads: small, numSequences: small });
  const blocks = fc.record({
    queries: fc.constantFrom(1, 3, 16),
    workgroups: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(blocks, sizes, fc.integer({ min: 6, max: 50 }), (block, size, most) => {
      const pieces = gridPieces(block, size, most);
      const seen = pieces.flatMap(({ first, grid: [x, y, z] }) => {
        expect(Math.max(x, y, z)).toBeLessThanOrEqual(most);
        expect(first.firstQuery % block.queries).toBe(0);
        const rows = range(x / block.workgroups).map((i) => first.firstQuery / block.queries + i);
        return range(z).flatMap((s) =>
          range(y).flatMap((h) =>
            rows.map((row) => `${first.firstSequence + s}/${first.firstHead + h}/${row}`),
          ),
        );
      });
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.length).toBe(ceilDiv(size.maxQueries, block.queries) * size.numHeads * size.numSequences);
      const whole = wholeGrid(block, size);
      if (product(whole) > 0 && whole.every((n) => n <= most)) expect(pieces).toHaveLength(1);
    }),
  );
});
