/** JSON from files that nobody vouches for: valid UTF-8, valid JSON, and no key twice in one object. */
import { ConfigError, messageOf } from '../core/errors.ts';

/**
 * The JSON value in `bytes`.
 * @param label names the file in messages.
 * @throws ConfigError when the bytes are not UTF-8 or not JSON, or an object gives one key twice: `JSON.parse`
 * would keep the last of the two in silence.
 */
export function parseStrictJson(bytes: Uint8Array, label: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${label} is not valid UTF-8; JSON must be. Fetch or export the file again.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(
      `${label} is not valid JSON (${messageOf(error)}). Fetch or export the file again.`,
    );
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) {
    throw new ConfigError(
      `${label} gives the key ${JSON.stringify(twice)} twice in one object; which one is meant cannot be told. ` +
        'Remove one of the two.',
    );
  }
  return value;
}

/**
 * The first key that some object of `text` gives twice, or undefined. `text` must be valid JSON.
 * repeatedKey('{"a": 1, "b": {"a": 2}}') is undefined; repeatedKey('{"a": 1, "\\u0061": 2}') is 'a'.
 */
export function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []; // the keys so far of each open object; undefined for an array
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{' || char === '[') {
      open.push(char === '{' ? new Set() : undefined);
      expectKey = char === '{';
    } else if (char === '}' || char === ']') {
      open.pop();
      expectKey = false;
    } else if (char === ',') {
      expectKey = open.at(-1) !== undefined;
    } else if (char === '"') {
      const end = closingQuote(text, i);
      if (expectKey) {
        const key = JSON.parse(text.slice(i, end + 1)) as string;
        const keys = open.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
        expectKey = false;
      }
      i = end;
    }
  }
  return undefined;
}

/** Where the string that opens at `start` closes. A plain loop: a long string would overflow a pattern's stack. */
function closingQuote(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}
