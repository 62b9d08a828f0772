import { expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { CharTokenizer, readCharVocab } from '../../src/model/text/char-tokenizer.ts';

const tokenizer = new CharTokenizer(
  new Map([
    ['b', 1],
    ['a', 0],
    ['\u{1F600}', 2],
  ]),
);

test('encodes code points and decodes them', () => {
  expect(tokenizer.encode('ab\u{1F600}a')).toEqual([0, 1, 2, 0]);
  expect(tokenizer.decode([2, 1])).toBe('\u{1F600}b');
  expect(tokenizer.encode('')).toEqual([]);
});

test('an unknown character is named with its position and what is allowed', () => {
  expect(() => tokenizer.encode('abc')).toThrow(
    'The character "c" at position 2 is not in the vocabulary. Use only "ab\u{1F600}".',
  );
});

test('an unknown id is named', () => {
  expect(() => tokenizer.decode([0, 3])).toThrow(/Token id 3 has no character; the vocabulary has 3/);
});

const read = (value: unknown): CharTokenizer =>
  readCharVocab(new TextEncoder().encode(JSON.stringify(value)), 'vocab.json', 4);

test('a vocabulary must hold single characters with distinct ids of the model', () => {
  expect(read({ type: 'char', vocab: { a: 3 } }).encode('a')).toEqual([3]);
  expect(() => read({ type: 'bpe', vocab: {} })).toThrow(/vocab\.json: type/);
  expect(() => read({ type: 'char', vocab: { a: -1 } })).toThrow(/vocab\.json: vocab\.a/);
  expect(() => read({ type: 'char', vocab: { ab: 1 } })).toThrow(/token "ab"; tokens must be single/);
  expect(() => read({ type: 'char', vocab: { a: 1, b: 1 } })).toThrow(/id 1 to "a" and "b"; ids must differ/);
  expect(() => read({ type: 'char', vocab: { a: 4 } })).toThrow(
    /"a" the id 4, but the model's vocab_size is 4/,
  );
});

test.each([
  ['no characters', { type: 'char', vocab: {} }, /vocab\.json is empty/],
  ['no type', { vocab: {} }, /vocab\.json: type/],
  ['a list', [], /vocab\.json/],
  ['a vocabulary as a list', { type: 'char', vocab: ['a'] }, /vocab\.json/],
  ['an id in text', { type: 'char', vocab: { a: '1' } }, /vocab\.a: .*"1"/],
  ['a fraction', { type: 'char', vocab: { a: 0.5 } }, /vocab\.a/],
  ['an id of 5 MB', { type: 'char', vocab: { a: 'x'.repeat(5e6) } }, /vocab\.a: .*5000000 characters/],
  ['a token of 5 MB', { type: 'char', vocab: { ['x'.repeat(5e6)]: 1 } }, /5000000 characters\); tokens must/],
  ['a type of 5 MB', { type: 'x'.repeat(5e6), vocab: {} }, /type: .*5000000 characters/],
])('%s is refused in a line or two', (_, value, expected) => {
  try {
    read(value);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toMatch(expected);
    expect((error as Error).message.length).toBeLessThan(320);
  }
});

test('of a vocabulary of any size a message lists a line', () => {
  const many = Array.from({ length: 50_000 }, (_, id): [string, number] => [
    String.fromCodePoint(0x4e00 + id),
    id,
  ]);
  expect(() => new CharTokenizer(new Map(many)).encode('a')).toThrow(/^.{1,300}$/u);
});
