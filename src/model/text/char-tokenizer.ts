/** A tokenizer whose tokens are single characters (code points). */
import * as v from 'valibot';
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import { parseFields } from '../fields.ts';
import type { TextStream, Tokenizer } from './tokenizer.ts';
import { parseStrictJson } from '../safetensors/strict-json.ts';

const VocabFile = v.object({
  type: v.literal('char'),
  vocab: v.record(v.string(), v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});

/** Characters of a vocabulary that a message lists. */
const SHOWN_VOCABULARY = 120;

const FORM = 'It must be {"type": "char", "vocab": {character: id}}.';

export class CharTokenizer implements Tokenizer {
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #charOf: ReadonlyMap<number, string>;

  /** @param idOf id of each character. @throws ConfigError for none, a token of several characters, or an id used twice. */
  constructor(idOf: ReadonlyMap<string, number>, label = 'The vocabulary') {
    if (idOf.size === 0) {
      throw new ConfigError(`${label} is empty, so no text can be written. Give every character an id.`);
    }
    const charOf = new Map<number, string>();
    for (const [char, id] of idOf) {
      if (char.length > 2 || [...char].length !== 1) {
        throw new ConfigError(
          `${label} has the token ${quoted(char)}; tokens must be single characters. Remove it.`,
        );
      }
      const other = charOf.get(id);
      if (other !== undefined) {
        throw new ConfigError(
          `${label} gives id ${id} to ${quoted(other)} and ${quoted(char)}; ids must differ. Renumber one.`,
        );
      }
      charOf.set(id, char);
    }
    this.#idOf = idOf;
    this.#charOf = charOf;
  }

  /** Number of tokens. */
  get size(): number {
    return this.#idOf.size;
  }

  /** The allowed characters, by ascending id. */
  get characters(): string {
    return [...this.#charOf]
      .sort(([a], [b]) => a - b)
      .map(([, char]) => char)
      .join('');
  }

  /** @throws ConfigError naming the first character without an id, its position, and the allowed ones. */
  encode(text: string): number[] {
    return [...text].map((char, position) => {
      const id = this.#idOf.get(char);
      if (id === undefined) {
        throw new ConfigError(
          `The character ${quoted(char)} at position ${position} is not in the vocabulary. ` +
            `Use only ${quoted(this.characters, SHOWN_VOCABULARY)}.`,
        );
      }
      return id;
    });
  }

  /** Every token is whole characters, so nothing waits. */
  stream(): TextStream {
    return { push: (id) => this.decode([id]), end: () => '' };
  }

  /** @throws ConfigError naming an id that no character has. */
  decode(ids: Iterable<number>): string {
    let text = '';
    for (const id of ids) {
      const char = this.#charOf.get(id);
      if (char === undefined) {
        throw new ConfigError(
          `Token id ${id} has no character; the vocabulary has ${this.size}. Decode ids of this model only.`,
        );
      }
      text += char;
    }
    return text;
  }
}

/**
 * The tokenizer of a `vocab.json`: `{"type": "char", "vocab": {character: id}}`.
 * @param vocabSize every id must be below it.
 * @throws ConfigError when the file is anything else.
 */
export function readCharVocab(bytes: Uint8Array, label: string, vocabSize: number): CharTokenizer {
  const { vocab } = parseFields(VocabFile, parseStrictJson(bytes, label), label, FORM);
  const idOf = new Map(Object.entries(vocab));
  for (const [char, id] of idOf) {
    if (id >= vocabSize) {
      throw new ConfigError(
        `${label} gives ${quoted(char)} the id ${id}, but the model's vocab_size is ${vocabSize}. ` +
          'Use the vocabulary of this model.',
      );
    }
  }
  return new CharTokenizer(idOf, label);
}
