/** Text from files, arguments and drivers on its way to a terminal: it must not move the cursor, clear or colour. */

/** C0, DEL, C1, marks that turn the direction of writing, line separators, byte-order marks, halves of a pair. */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Control characters as escapes: printable('a\x1b[2Jb') = 'a\\x1b[2Jb', a line's end as '\\n'. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => NAMED[char] ?? escapeOf(char));
}

/** As `printable`, but lines may end: for text that is meant to have several. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** A vocabulary may hold any character: those that steer a terminal are shown. `--json` has the text itself. */
export function printableText(text: string): string {
  return text.split('\t').map(printableLines).join('\t');
}

/** Code points, counted without a list of them. */
export function charactersOf(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; count++) i += (text.codePointAt(i) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

/** JSON whose strings hold no control character raw: the same value to whoever parses it. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, (char) => (char === '\n' ? char : `\\u${hex(char, 4)}`));
}

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeOf(char: string): string {
  return char.charCodeAt(0) < 0x100 ? `\\x${hex(char, 2)}` : `\\u${hex(char, 4)}`;
}

function hex(char: string, digits: number): string {
  return char.charCodeAt(0).toString(16).padStart(digits, '0');
}
