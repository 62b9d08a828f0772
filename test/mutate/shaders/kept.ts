/** What became of bounds and barriers in earlier runs. */
import { createHash } from 'node:crypto';
import { KeptLines } from '../kept-lines.ts';
import type { Fate } from './messages.ts';
import type { Site } from './sites.ts';

/** The same for the same shader, with the same part of it taken out. */
const keyOf = (path: string, { kind, text }: Site): string =>
  createHash('sha256').update(`${kind}\n${path}\n${text}`).digest('hex').slice(0, 32);

export class Kept {
  readonly #lines: KeptLines<Fate>;

  /** Without a file nothing is kept. */
  constructor(file: string | undefined) {
    this.#lines = new KeptLines(file, 'fate');
  }

  /** What noticed, as long as the shader and what noticed are the same; or all that did not. */
  fateOf(path: string, site: Site): Fate | undefined {
    return this.#lines.get(keyOf(path, site));
  }

  add(path: string, site: Site, fate: Fate): void {
    const { kind, line, what } = site;
    this.#lines.keep(keyOf(path, site), fate, { path, kind, line, what });
  }
}
