/** One walk over the text of valid JSON, for what `JSON.parse` does not tell: spellings, repeated keys, lone surrogates. */

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

export interface JsonEvents {
  /** A key that its object has already. */
  repeated(key: string): void;
  /** A key or a string that holds a surrogate without its partner. */
  halved(text: string): void;
  /** A number as it is spelt, and the keys that lead to it from the root; arrays add none. */
  number(spelling: string, path: readonly string[]): void;
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const HALF = /\p{Surrogate}/u;

/** `text` must be valid JSON. */
export function scanJson(text: string, events: JsonEvents): void {
  const open: (Keys | undefined)[] = []; // undefined for an array
  const path: string[] = [];
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      open.push(code === OPEN_OBJECT ? new Keys() : undefined);
      expectKey = code === OPEN_OBJECT;
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      if (open.pop()?.any === true) path.pop();
      expectKey = false;
    } else if (code === COMMA) {
      expectKey = open.at(-1) !== undefined;
    } else if (code === QUOTE) {
      const end = closingQuote(text, i);
      const keys = expectKey ? open.at(-1) : undefined;
      const raw = text.slice(i, end + 1);
      // Only an escape can spell half a character: the text itself was UTF-8.
      const string = keys !== undefined || raw.includes('\\u') ? (JSON.parse(raw) as string) : '';
      if (HALF.test(string)) events.halved(string);
      if (keys !== undefined) {
        if (keys.any) path.pop();
        if (!keys.add(string)) events.repeated(string);
        path.push(string);
        expectKey = false;
      }
      i = end;
    } else if (code === MINUS || (code >= 0x30 && code <= 0x39)) {
      NUMBER.lastIndex = i;
      const [spelling = ''] = NUMBER.exec(text) ?? [];
      events.number(spelling, path);
      i += Math.max(1, spelling.length) - 1;
    }
  }
}

/** The keys of an open object. Most objects in deep nesting have one, which needs no set. */
class Keys {
  #first: string | undefined;
  #all: Set<string> | undefined;

  get any(): boolean {
    return this.#first !== undefined;
  }

  /** False when it is there already. */
  add(key: string): boolean {
    if (this.#first === undefined) {
      this.#first = key;
      return true;
    }
    this.#all ??= new Set([this.#first]);
    if (this.#all.has(key)) return false;
    this.#all.add(key);
    return true;
  }
}

/** Whether brackets outside of strings are ever more than `most` deep. `text` need not be valid. */
export function isDeeper(text: string, most: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = closingQuote(text, i);
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) depth++;
    else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) depth--;
    if (depth > most) return true;
  }
  return false;
}

/** Where the string that opens at `start` closes. A plain loop: a long string would overflow a pattern's stack. */
function closingQuote(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
  return i;
}
