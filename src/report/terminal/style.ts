/** Colours where the reader's terminal shows them; plain text everywhere else. */
import pc from 'picocolors';
import { printable, printableLines } from '../../core/text/printable.ts';

export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  /** Columns that tables may take. */
  readonly width: number;
}

/** Where nothing is known of the reader's screen. */
export const WIDTH = 80;

/** @param colour false for files, pipes and readers who set NO_COLOR. */
export function styleFor(colour: boolean, width = WIDTH): Style {
  const c = pc.createColors(colour);
  return { bold: c.bold, dim: c.dim, good: c.green, bad: c.red, warn: c.yellow, width };
}

export const PLAIN = styleFor(false);

/** What `styleFor` puts around words. */
const OWN = /(\x1b\[(?:1|2|22|3[1-3]|39)m)/;

/** Text for a terminal: control characters as escapes, but for our own colours and ends of lines. */
export function terminalText(text: string): string {
  return apart(text, printableLines);
}

/** A cell or a value, which may come from a file: as `terminalText`, and it stays on its line. */
export function cellText(text: string): string {
  return apart(text, printable);
}

function apart(text: string, escape: (part: string) => string): string {
  if (!text.includes('\x1b')) return escape(text);
  return text
    .split(OWN)
    .map((part, i) => (i % 2 === 1 ? part : escape(part)))
    .join('');
}
