import fc from 'fast-check';
import { expect, test } from 'vitest';
import { didYouMean, editDistance, nearestName } from '../../src/core/text/near-names.ts';
import { quoted, shapeText } from '../../src/core/text/quoted.ts';

test('by hand', () => {
  expect(quoted('abc')).toBe('"abc"');
  expect(quoted([1, -0, 'a', null, { b: true }])).toBe('[1, -0, "a", null, {"b": true}]');
  expect(quoted('\u001b[2J\u009b\u202e\n')).toBe('"\\u001b[2J\\u009b\\u202e\\n"');
  expect(quoted('a'.repeat(20) + 'b'.repeat(80))).toBe(
    `"${'a'.repeat(20)}${'b'.repeat(10)}...${'b'.repeat(20)}" (100 characters)`,
  );
  expect(quoted(undefined)).toBe('undefined');
  expect(shapeText([2, 3])).toBe('[2, 3]');
  expect(shapeText([1, 2, 3, 4, 5, 6, 7, 8, 9])).toBe('[1, 2, 3, 4, 5, 6, 7, 8, ... 9 dimensions]');
});

test('any value takes a few lines at most and no control characters; a short text stays what it is', () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 6 }),
      fc.string({ unit: 'binary', maxLength: 200 }),
      (value, text) => {
        for (const shown of [quoted(value), quoted(text), quoted([text])]) {
          expect(shown).not.toMatch(/[\p{Cc}\p{Surrogate}]/u);
        }
        expect(quoted(text).length).toBeLessThan(400);
        if (text.length <= 60) expect(JSON.parse(quoted(text))).toBe(text);
      },
    ),
  );
});

test('the work is bounded by what is shown', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 1e5; i++) deep = [deep];
  expect(quoted(deep)).toBe('[[[[...]]]]');
  expect(quoted(Array.from({ length: 1e6 }, () => 'x'.repeat(10)))).toMatch(/\.\.\. 1000000 elements\]$/);
  expect(quoted({ a: deep, b: 'x'.repeat(1e6) }).length).toBeLessThan(200);
});

test('a near name is told, and a name of megabytes is not compared letter by letter', () => {
  expect(didYouMean('mo', ['matmul', 'moe'])).toBe(' (did you mean "moe"?)');
  expect(nearestName('promt', ['prompt', 'tokens'])).toBe('prompt');
  expect(nearestName('mixtral', ['mixtral-8x7b'])).toBe('mixtral-8x7b');
  expect(nearestName('zzz', ['prompt', 'tokens'])).toBeUndefined();
  expect(nearestName('x'.repeat(5e6), ['prompt', 'tokens'])).toBeUndefined();
});

test('editDistance by hand', () => {
  expect(editDistance('dbx', 'dbrx')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
  expect(editDistance('kitten', 'sitting')).toBe(3);
});
