import { describe, expect, test } from 'vitest';
import { InvariantError } from '../../src/core/errors.ts';
import { checkViews, createMesh } from '../../src/layout/mesh.ts';

const grid = createMesh([
  { name: 'a', size: 2 },
  { name: 'b', size: 3 },
]);

describe('createMesh', () => {
  test('the example in its comment', () => {
    expect(grid.size).toBe(6);
    expect(grid.coordinates(4)).toEqual({ a: 1, b: 1 });
    expect(grid.rankAt({ a: 1, b: 1 })).toBe(4);
    expect(grid.groups(['b'])).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(grid.groups(['a'])).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
  });

  test('a group over two parts is ascending whatever their order', () => {
    expect(grid.group(4, ['b', 'a'])).toEqual([0, 1, 2, 3, 4, 5]);
    expect(grid.group(4, [])).toEqual([4]);
  });

  test('refuses a rank or coordinate outside the grid', () => {
    expect(() => grid.coordinates(6)).toThrow(/rank 6 is not in \[0, 6\)/);
    expect(() => grid.coordinates(0.5)).toThrow(InvariantError);
    expect(() => grid.group(-1, ['a'])).toThrow(/rank -1/);
    expect(() => grid.rankAt({ a: 2, b: 0 })).toThrow(/a 2 is not in \[0, 2\)/);
  });
});

describe('checkViews', () => {
  test('accepts views that agree on their shared axis', () => {
    checkViews(grid, { one: { x: ['a'], y: ['b'] }, two: { x: ['a'], z: ['b'] } });
  });

  test('a shared axis with other groups is refused with both lists', () => {
    const views = { one: { x: ['a'], y: ['b'] }, two: { x: ['b'], z: ['a'] } } as const;
    expect(() => checkViews(grid, views)).toThrow(
      'axis x is [[0,1,2],[3,4,5]] in view two but [[0,3],[1,4],[2,5]] in view one',
    );
  });

  test('a view that leaves out or repeats a part is refused', () => {
    expect(() => checkViews(grid, { one: { x: ['a'] } })).toThrow(
      /view one uses the parts a, the grid has a,b/,
    );
    expect(() => checkViews(grid, { one: { x: ['a'], y: ['a', 'b'] } })).toThrow(/uses the parts a,a,b/);
  });
});
