/** Colours where the reader's terminal shows them; plain text everywhere else. */
import pc from 'picocolors';

export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
}

/** @param colour false for files, pipes and readers who set NO_COLOR. */
export function styleFor(colour: boolean): Style {
  const c = pc.createColors(colour);
  return { bold: c.bold, dim: c.dim, good: c.green, bad: c.red, warn: c.yellow };
}

export const PLAIN = styleFor(false);
