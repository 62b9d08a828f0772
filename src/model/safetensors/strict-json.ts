/** JSON from files that nobody vouches for: valid UTF-8, valid JSON, whole characters, no key twice in one object. */
import { ConfigError, messageOf } from '../../core/errors.ts';
import { quoted, shortened } from '../../core/text/quoted.ts';
import { isDeeper, scanJson } from './scan-json.ts';

/** Nesting beyond any file that means something; what walks a value in depth has room for it. A guess. */
const DEEPEST = 100_000;

/** Characters of the parser's own words, which quote the file. */
const PARSER_WORDS = 120;

export interface JsonRules {
  /** Levels of arrays and objects; 100,000 when absent. */
  readonly deepest?: number;
  /** False refuses a byte order mark before the JSON, which is skipped otherwise. */
  readonly mark?: boolean;
  /** Called with every number as it is spelt, and the keys that lead to it. */
  readonly onNumber?: (spelling: string, path: readonly string[]) => void;
}

/** What a JSON file may have: the largest in use, indices and vocabularies, have a tenth of it. */
export const MOST_JSON_BYTES = 32 * 2 ** 20;

/**
 * The JSON value in `bytes`.
 * @param label names the file in messages.
 * @throws ConfigError when the bytes are not UTF-8 or not JSON, are nested too deep, hold half a character (a lone
 * surrogate) or a number beyond float64, or an object gives one key twice: `JSON.parse` would keep the last of the two
 * in silence.
 */
export function parseStrictJson(bytes: Uint8Array, label: string, rules: JsonRules = {}): unknown {
  const { deepest = DEEPEST, mark = true, onNumber } = rules;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: !mark }).decode(bytes);
  } catch {
    throw new ConfigError(`${label} is not valid UTF-8; JSON must be. Fetch or export the file again.`);
  }
  if (isDeeper(text, deepest)) {
    throw new ConfigError(
      `${label} nests more than ${deepest} arrays and objects. Fetch or export the file again.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const words = shortened(messageOf(error), PARSER_WORDS).replace(/[\p{Cc}\s]+/gu, ' ');
    throw new ConfigError(`${label} is not valid JSON (${words}). Fetch or export the file again.`);
  }
  const refuse = (what: string): never => {
    throw new ConfigError(`${label} ${what}`);
  };
  scanJson(text, {
    repeated: (key) =>
      refuse(
        `gives the key ${quoted(key)} twice in one object; which one is meant cannot be told. Remove one of the two.`,
      ),
    halved: (string) =>
      refuse(
        `holds half a character (a lone surrogate) in ${quoted(string)}, which is no Unicode text. Export it again.`,
      ),
    number: (spelling, path) => {
      if (!Number.isFinite(Number(spelling))) {
        refuse(`holds the number ${quoted(spelling)}, which is beyond float64. Correct it.`);
      }
      onNumber?.(spelling, path);
    },
  });
  return value;
}
