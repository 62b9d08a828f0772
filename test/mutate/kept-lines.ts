/** Results in a file, a line of JSON each, so that a run of hours may be ended and goes on where it was. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

export class KeptLines<T> {
  readonly #path: string | undefined;
  readonly #name: string;
  readonly #results = new Map<string, T>();

  /** @param path of the file; undefined keeps nothing. @param name of a result in its line. */
  constructor(path: string | undefined, name: string) {
    this.#path = path;
    this.#name = name;
    if (path === undefined || !existsSync(path)) return;
    for (const text of readFileSync(path, 'utf8').split('\n')) {
      const line = lineOf(text);
      if (typeof line?.['key'] === 'string') this.#results.set(line['key'], line[name] as T);
    }
  }

  get(key: string): T | undefined {
    return this.#results.get(key);
  }

  /** @param beside what else the line says, for who reads it. */
  keep(key: string, result: T, beside: Readonly<Record<string, unknown>> = {}): void {
    this.#results.set(key, result);
    if (this.#path === undefined) return;
    // The line before may have been cut off.
    appendFileSync(this.#path, `\n${JSON.stringify({ key, ...beside, [this.#name]: result })}`);
  }
}

/** Undefined for one that was cut off when the machine went down: what it told is judged again. */
function lineOf(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
