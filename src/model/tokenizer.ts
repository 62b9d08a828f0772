/** A tokenizer whose tokens are single characters (code points). */
import * as v from 'valibot';
import { ConfigError } from '../core/errors.ts';
import { parseStrictJson } from './strict-json.ts';

const VocabFile = v.object({
  type: v.literal('char'),
  vocab: v.record(v.string(), v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});

export class CharTokenizer {
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #charOf: ReadonlyMap<number, string>;

  /** @param idOf id of each character. @throws ConfigError for a token of several characters, or an id used twice. */
  constructor(idOf: ReadonlyMap<string, number>, label = 'The vocabulary') {
    const charOf = new Map<number, string>();
    for (const [char, id] of idOf) {
      if ([...char].length !== 1) {
        throw new ConfigError(
          `${label} has the token ${JSON.stringify(char)}; tokens must be single characters. Remove it.`,
        );
      }
      const other = charOf.get(id);
      if (other !== undefined) {
        throw new ConfigError(
          `${label} gives id ${id} to ${JSON.stringify(other)} and ${JSON.stringify(char)}; ids must differ. Renumber one.`,
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
          `The character ${JSON.stringify(char)} at position ${position} is not in the vocabulary. ` +
            `Use only ${JSON.stringify(this.characters)}.`,
        );
      }
      return id;
    });
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
  const json = parseStrictJson(bytes, label);
  const parsed = v.safeParse(VocabFile, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new ConfigError(
      `${label}: ${v.getDotPath(issue) ?? 'the file'}: ${issue.message}. ` +
        'It must be {"type": "char", "vocab": {character: id}}.',
    );
  }
  const idOf = new Map(Object.entries(parsed.output.vocab));
  for (const [char, id] of idOf) {
    if (id >= vocabSize) {
      throw new ConfigError(
        `${label} gives ${JSON.stringify(char)} the id ${id}, but the model's vocab_size is ${vocabSize}. ` +
          'Use the vocabulary of this model.',
      );
    }
  }
  return new CharTokenizer(idOf, label);
}
