/** Between shapes that were measured, a choice must have been proven at one of them, not only be predicted. */
import { expect, test } from 'vitest';
import { tuningTable } from '../../src/tune/lookup.ts';
import { candidates, codeOf, evidenceOf, pointOf, shape } from './support.ts';

const able = candidates('own', 'row');
const choiceAt = (points: Parameters<typeof tuningTable>[0], rows: number): string | undefined =>
  tuningTable(points, codeOf).choose({ family: 'matmul', shape: shape(rows), able, refused: [] });

test('a variant that is faster by its medians, and by no interval, is not taken between', () => {
  const wobbly = (rows: number, own: number) => {
    const point = pointOf({ rows, times: { own, row: 0.9 * own }, spread: 0.01 });
    return { ...point, choice: null, evidence: [evidenceOf('own', own), evidenceOf('row', 0.9 * own, 0.4)] };
  };
  expect(choiceAt([wobbly(4, 100), wobbly(64, 1600)], 16)).toBeUndefined();
  const proven = pointOf({ rows: 4, times: { own: 100, row: 90 }, spread: 0.01 });
  expect(choiceAt([proven, wobbly(64, 1600)], 16)).toBe('row');
});

test('a predicted gain must exceed the spread of the most restless neighbour', () => {
  const calm = pointOf({ rows: 4, times: { own: 100, row: 80 }, spread: 0.01 });
  const restless = pointOf({ rows: 64, times: { own: 1600, row: 1280 }, spread: 0.3 });
  expect(choiceAt([calm, { ...restless, spread: 0.02 }], 16)).toBe('row');
  expect(choiceAt([calm, restless], 16)).toBeUndefined();
});

test('a power law between two shapes: the nearer one counts more', () => {
  const few = pointOf({ rows: 4, times: { own: 100, row: 50 } });
  const many = pointOf({ rows: 64, times: { own: 1000, row: 1900 } });
  expect(choiceAt([few, many], 5)).toBe('row');
  expect(choiceAt([few, many], 50)).toBeUndefined();
});
