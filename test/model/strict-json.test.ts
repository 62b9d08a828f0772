import { expect, test } from 'vitest';
import fc from 'fast-check';
import { parseStrictJson, repeatedKey } from '../../src/model/strict-json.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('repeatedKey: the examples in its comment', () => {
  expect(repeatedKey('{"a": 1, "b": {"a": 2}}')).toBeUndefined();
  expect(repeatedKey('{"a": 1, "\\u0061": 2}')).toBe('a');
});

test('keys are told from text, and objects from each other', () => {
  expect(repeatedKey('{"a": "a", "b": ["a", "a", {"a": 1}, {"a": 2}]}')).toBeUndefined();
  expect(repeatedKey('{"x\\"": {}, "y": [{}], "x\\"": 1}')).toBe('x"');
  expect(repeatedKey('{"{": "}", ",": "\\\\", "{": 0}')).toBe('{');
});

test('what JSON.stringify writes has no key twice, and parses to the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(parseStrictJson(bytes(text), 'x')).toEqual(JSON.parse(text));
    }),
  );
});

test('a string of megabytes and nesting of a hundred thousand levels are no trouble', () => {
  expect(repeatedKey(JSON.stringify({ a: '\n'.repeat(2e6) }))).toBeUndefined();
  expect(Array.isArray(parseStrictJson(bytes('['.repeat(1e5) + ']'.repeat(1e5)), 'x'))).toBe(true);
});

test('names the file and the fault', () => {
  expect(() => parseStrictJson(Uint8Array.of(0xff), 'x.json')).toThrow(/x\.json is not valid UTF-8/);
  expect(() => parseStrictJson(bytes('{'), 'x.json')).toThrow(/x\.json is not valid JSON/);
  expect(() => parseStrictJson(bytes('{"a":1,"a":1}'), 'x.json')).toThrow(/x\.json gives the key "a" twice/);
});
