/** What was found before, a line each in a file, so that a run that was stopped goes on. */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Fate } from './messages.ts';
import type { Site } from './sites.ts';

/** A line of the file. What else it says is for who reads it. */
interface Line {
  readonly key: string;
  readonly fate: Fate;
}

/** The same for the same shader, with the same part of it taken out. */
const keyOf = (path: string, { kind, text }: Site): string =>
  createHash('sha256').update(`${kind}\n${path}\n${text}`).digest('hex').slice(0, 32);

export class Kept {
  readonly #file: string | undefined;
  readonly #fates = new Map<string, Fate>();

  /** Without a file nothing is kept. */
  constructor(file: string | undefined) {
    this.#file = file;
    if (file === undefined || !existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      // The last one may be half written.
      if (!line.endsWith('}')) continue;
      const { key, fate } = JSON.parse(line) as Line;
      this.#fates.set(key, fate);
    }
  }

  /** What need not be looked for again: who was noticed is, as long as the shader is the same. */
  fateOf(path: string, site: Site, isArgued: boolean): Fate | undefined {
    const fate = this.#fates.get(keyOf(path, site));
    const isDone =
      fate?.fate === 'caught' || fate?.fate === 'hung' || (isArgued && fate?.fate === 'survived');
    return isDone ? fate : undefined;
  }

  add(path: string, site: Site, fate: Fate): void {
    if (this.#file === undefined) return;
    const { kind, line, what } = site;
    appendFileSync(
      this.#file,
      `${JSON.stringify({ key: keyOf(path, site), path, kind, line, what, fate })}\n`,
    );
  }
}
