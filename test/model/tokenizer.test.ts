import { expect, test } from 'vitest';
import { CharTokenizer, readCharVocab } from '../../src/model/tokenizer.ts';

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
