/** What a message repeats of a user's input: on one line, without control characters, and short whatever it was. */
import { printableJson } from './printable.ts';

/** Characters of a text, and elements of a list, that a message repeats. Guesses, as is the next. */
const SHOWN_CHARACTERS = 60;
const SHOWN_ELEMENTS = 8;
const SHOWN_LEVELS = 3;
/** Characters of a list or an object, all together. A guess. */
const SHOWN_OF_VALUE = 150;

/**
 * Any JSON value as a message shows it: `"a\u001b[2J"`, `[1, 2, 3]`, `[[[...]]]`. A long text keeps its two ends and
 * gives its length; the work is bounded by what is shown, not by the value.
 * @param characters of a text that are shown.
 */
export function quoted(value: unknown, characters = SHOWN_CHARACTERS): string {
  if (typeof value === 'string') return textShown(value, characters);
  return shortened(shown(value, SHOWN_LEVELS), SHOWN_OF_VALUE);
}

/** [2, 3, 4], or of many dimensions the first few and how many there are. */
export function shapeText(shape: readonly number[]): string {
  const first = shape.slice(0, SHOWN_ELEMENTS).join(', ');
  return shape.length <= SHOWN_ELEMENTS ? `[${first}]` : `[${first}, ... ${shape.length} dimensions]`;
}

/** A text whose middle is left out when it has more than `most` characters; never half a character. */
export function shortened(text: string, most = SHOWN_CHARACTERS): string {
  if (text.length <= most) return text;
  const head = text.slice(0, Math.ceil(most / 2)).replace(/[\ud800-\udbff]$/, '');
  const tail = text.slice(text.length - Math.floor(most / 3)).replace(/^[\udc00-\udfff]/, '');
  return `${head}...${tail}`;
}

function shown(value: unknown, levels: number): string {
  switch (typeof value) {
    case 'string':
      return textShown(value);
    case 'number':
    case 'boolean':
    case 'bigint':
    case 'undefined':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${elements(value as unknown[], levels)}]`;
      return `{${fields(value, levels)}}`;
    case 'symbol':
    case 'function':
      return typeof value;
  }
}

function textShown(text: string, most = SHOWN_CHARACTERS): string {
  const long = text.length > most;
  const safe = printableJson(JSON.stringify(shortened(text, most)));
  return long ? `${safe} (${text.length} characters)` : safe;
}

function elements(values: readonly unknown[], levels: number): string {
  if (levels === 0 && values.length > 0) return '...';
  const first = values.slice(0, SHOWN_ELEMENTS).map((value) => shown(value, levels - 1));
  return [...first, ...(values.length > SHOWN_ELEMENTS ? [`... ${values.length} elements`] : [])].join(', ');
}

function fields(value: object, levels: number): string {
  if (levels === 0) return '...';
  const parts: string[] = [];
  for (const name in value) {
    if (!Object.hasOwn(value, name)) continue;
    if (parts.length === SHOWN_ELEMENTS) {
      parts.push('...');
      break;
    }
    parts.push(`${textShown(name)}: ${shown((value as Record<string, unknown>)[name], levels - 1)}`);
  }
  return parts.join(', ');
}
