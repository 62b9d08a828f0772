import { expect, test } from 'vitest';
import fc from 'fast-check';
import { ConfigError } from '../../src/core/errors.ts';
import { parseStrictJson } from '../../src/model/safetensors/strict-json.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string): unknown => parseStrictJson(bytes(text), 'x.json');

test('a key twice in one object, also when it is spelt in two ways', () => {
  expect(parse('{"a": 1, "b": {"a": 2}}')).toEqual({ a: 1, b: { a: 2 } });
  expect(() => parse('{"a": 1, "\\u0061": 2}')).toThrow(/gives the key "a" twice/);
  expect(() => parse('[{"b": {}, "a": [], "c": 1, "a": 1}]')).toThrow(/gives the key "a" twice/);
});

test('keys are told from text, and objects from each other', () => {
  expect(() => parse('{"a": "a", "b": ["a", "a", {"a": 1}, {"a": 2}]}')).not.toThrow();
  expect(() => parse('{"x\\"": {}, "y": [{}], "x\\"": 1}')).toThrow(/gives the key "x\\"" twice/);
  expect(() => parse('{"{": "}", ",": "\\\\", "{": 0}')).toThrow(/gives the key "\{" twice/);
});

test('what JSON.stringify writes has no key twice, and parses to the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(parse(text)).toEqual(JSON.parse(text));
    }),
  );
});

test('numbers come as they are spelt, with the keys that lead to them', () => {
  const seen: string[] = [];
  const onNumber = (spelling: string, path: readonly string[]): void => {
    seen.push(`${path.join('.')}=${spelling}`);
  };
  parseStrictJson(bytes('{"a":{"b":[1.0,[-0]],"c":2e3},"d":[{"e":4},{"f":"5"}],"g":{},"h":7}'), 'x', {
    onNumber,
  });
  expect(seen).toEqual(['a.b=1.0', 'a.b=-0', 'a.c=2e3', 'd.e=4', 'h=7']);
});

test('half a character and a number beyond float64 are refused wherever they are', () => {
  for (const text of ['"\\ud800"', '"\\udc00\\ud800"', '{"\\ud83d\\u0041": 1}', '[[{"a": "x\\uDFFFx"}]]']) {
    expect(() => parse(text)).toThrow(/lone surrogate/);
  }
  expect(parse('"\\ud83d\\ude00"')).toBe('\u{1f600}');
  expect(() => parse('[1e400]')).toThrow(/"1e400", which is beyond float64/);
});

test('a byte order mark is skipped, or refused where a format does not know it', () => {
  expect(parse('\ufeff[1]')).toEqual([1]);
  expect(() => parseStrictJson(bytes('\ufeff[1]'), 'x', { mark: false })).toThrow(/x is not valid JSON/);
});

test('a string of megabytes is no trouble, nor is nesting up to a limit', () => {
  expect(parse(JSON.stringify({ a: '\n'.repeat(2e6) }))).toEqual({ a: '\n'.repeat(2e6) });
  expect(Array.isArray(parse('['.repeat(1e5) + ']'.repeat(1e5)))).toBe(true);
  for (const [open, close] of [
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"a":', '}]'],
  ] as const) {
    expect(() => parse(open.repeat(1e6) + '1' + close.repeat(1e6))).toThrow(/nests more than 100000/);
  }
  expect(() => parseStrictJson(bytes('[[[]]]'), 'x', { deepest: 2 })).toThrow(/nests more than 2/);
  expect(() => parseStrictJson(bytes('[["[[[["]]'), 'x', { deepest: 2 })).not.toThrow();
});

test('any bytes give a value or a ConfigError of a line or two', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json().map((json) => json.replace(/\d/g, '"')),
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), text.map(bytes)), (file) => {
      try {
        parseStrictJson(file, 'x.json');
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        expect((error as Error).message.length).toBeLessThan(300);
        expect((error as Error).message).not.toMatch(/\p{Cc}/u);
      }
    }),
  );
});

test('names the file and the fault', () => {
  expect(() => parseStrictJson(Uint8Array.of(0xff), 'x.json')).toThrow(/x\.json is not valid UTF-8/);
  expect(() => parse('{')).toThrow(/x\.json is not valid JSON/);
  expect(() => parse('{"a":1,"a":1}')).toThrow(/x\.json gives the key "a" twice/);
});
