/**
 * Who noticed which part of a shader that was taken out, in a file beside this one. It is asked first, so that judging what was
 * noticed once takes one case; nothing is taken for noticed because the file says so.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { By } from './messages.ts';
import type { Site } from './sites.ts';

const FILE = fileURLToPath(new URL('witnesses.jsonl', import.meta.url));

/** Its place by its words, since lines move. */
export interface Place {
  readonly path: string;
  readonly kind: Site['kind'];
  readonly what: string;
  readonly context: string;
  /** Of those with the same words. */
  readonly nth: number;
}

const wordsOf = ({ path, kind, what, context, nth }: Place): string =>
  JSON.stringify({ path, kind, what, context, nth });

/** Of the parts of one shader, in order. */
export function placesOf(path: string, sites: readonly Site[]): Place[] {
  const met = new Map<string, number>();
  return sites.map(({ kind, what, context }) => {
    const words = `${kind}\n${what}\n${context}`;
    const nth = met.get(words) ?? 0;
    met.set(words, nth + 1);
    return { path, kind, what, context, nth };
  });
}

export class Witnesses {
  readonly #by = new Map<string, By>();

  constructor() {
    if (!existsSync(FILE)) return;
    for (const line of readFileSync(FILE, 'utf8').split('\n').filter(Boolean)) {
      const { by, ...place } = JSON.parse(line) as Place & { by: By };
      this.#by.set(wordsOf(place), by);
    }
  }

  of(place: Place): By | undefined {
    return this.#by.get(wordsOf(place));
  }

  set(place: Place, by: By): void {
    this.#by.set(wordsOf(place), by);
  }

  /** @param there all places: what is noted of others is dropped. */
  write(there: readonly Place[]): void {
    const lines = there.flatMap((place) => {
      const by = this.of(place);
      return by === undefined ? [] : [JSON.stringify({ ...place, by })];
    });
    writeFileSync(FILE, `${lines.sort().join('\n')}\n`);
  }
}
