/** What a table advises at, between and outside of the shapes that were measured. */
import { describe, expect, test } from 'vitest';
import { tuningTable } from '../../src/tune/lookup.ts';
import { keyOf, sameShape } from '../../src/tune/shape-key.ts';
import { candidates, codeOf, pointOf, shape } from './support.ts';

const few = pointOf({ rows: 4, times: { own: 100, row: 50, tile: 400 } });
const some = pointOf({ rows: 16, times: { own: 400, row: 390, tile: 410 }, spread: 0.08 });
const many = pointOf({ rows: 64, times: { own: 1600, row: 3000, tile: 800 } });
const able = candidates('own', 'row', 'tile');

const ask = (
  points: Parameters<typeof tuningTable>[0],
  asked: object,
  who = able,
  codes = codeOf,
): { choice: string | undefined; how: string | undefined } => {
  const table = tuningTable(points, codes);
  const choice = table.choose({ family: 'matmul', shape: asked, able: who, refused: [] });
  return { choice, how: table.advice[0]?.how };
};

describe('at a measured shape', () => {
  test('its choice, or the default where that stands', () => {
    expect(ask([few, some, many], shape(4))).toEqual({ choice: 'row', how: 'measured' });
    expect(ask([few, some, many], shape(16))).toEqual({ choice: undefined, how: 'measured' });
    expect(ask([few, some, many], shape(64)).choice).toBe('tile');
  });

  test('nothing that cannot run here', () => {
    expect(ask([few], shape(4), candidates('own', 'tile')).choice).toBeUndefined();
  });

  test('nothing whose shader has changed since', () => {
    const changed = (shader: string): string => (shader === 'row.wgsl' ? 'new' : codeOf(shader));
    expect(ask([few], shape(4), able, changed).choice).toBeUndefined();
    const ownChanged = (shader: string): string => (shader === 'own.wgsl' ? 'new' : codeOf(shader));
    expect(ask([few], shape(4), able, ownChanged).choice).toBeUndefined();
  });

  test('with another default than there was, what the same evidence says of that', () => {
    expect(ask([few], shape(4), candidates('row', 'own')).choice).toBeUndefined();
    expect(ask([few], shape(4), candidates('tile', 'own', 'row')).choice).toBe('row');
  });
});

describe('between measured shapes', () => {
  test('the least predicted time, when it was proven at a neighbour', () => {
    expect(ask([few, many], shape(5))).toEqual({ choice: 'row', how: 'between' });
    expect(ask([few, many], shape(50))).toEqual({ choice: 'tile', how: 'between' });
  });

  test('the default where the gain is within the spread', () => {
    expect(ask([few, some, many], shape(15)).choice).toBeUndefined();
  });

  test('by the nearest ones where more than one size differs', () => {
    const wide = pointOf({ rows: 64, cols: 256, times: { own: 6400, row: 12000, tile: 3200 } });
    expect(ask([few, many, wide], shape(60, 200))).toEqual({ choice: 'tile', how: 'between' });
  });
});

describe('elsewhere', () => {
  test('the nearest shape counts within a factor of two', () => {
    expect(ask([few, many], shape(128))).toEqual({ choice: 'tile', how: 'nearest' });
    expect(ask([few, many], shape(129))).toEqual({ choice: undefined, how: 'outside' });
    expect(ask([few, many], shape(1))).toEqual({ choice: undefined, how: 'outside' });
  });

  test('another setting is another world', () => {
    expect(ask([few, many], shape(4, 64, 'f16'))).toEqual({ choice: undefined, how: 'unknown' });
    expect(ask([], shape(4))).toEqual({ choice: undefined, how: 'unknown' });
  });
});

describe('keyOf', () => {
  test('sizes of the family on one side, all settings on the other', () => {
    const key = keyOf('moe', {
      depth: 8,
      numCols: 4,
      rowsPerExpert: 1.5,
      gated: true,
      numExperts: 16,
      clamp: {},
    });
    expect(key.sizes).toEqual({ depth: 8, numCols: 4, rowsPerExpert: 1.5 });
    expect(key.kind).toBe('gated=true numExperts=16');
  });

  test('an unknown number of experts is not any', () => {
    const of = (numExperts?: number) => keyOf('moe', { depth: 8, rowsPerExpert: 1, numExperts });
    expect(sameShape(of(16), of(16))).toBe(true);
    expect(sameShape(of(16), of(1))).toBe(false);
    expect(sameShape(of(16), of(undefined))).toBe(false);
  });

  test('of a fraction only whether it is there', () => {
    expect(keyOf('attention', { softcap: 50.5 }).kind).toBe(keyOf('attention', { softcap: 30.5 }).kind);
  });
});
