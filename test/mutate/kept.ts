/**
 * What became of faults in earlier runs, a line each, so that a run of hours may be ended and goes on where it was. A
 * result counts as long as the fault, its file and the tests that watch it have the same text; other files may change.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { filesBelow, textOf } from '../hygiene/source-files.ts';
import type { Mutant } from './mutant.ts';
import type { TestRun } from './run-tests.ts';

interface Line {
  readonly key: string;
  readonly run: TestRun;
}

export class KeptRuns {
  readonly #path: string | undefined;
  readonly #runs = new Map<string, TestRun>();

  /** @param path of the file; undefined keeps nothing. */
  constructor(path?: string) {
    this.#path = path;
    if (path === undefined || !existsSync(path)) return;
    for (const text of readFileSync(path, 'utf8').split('\n')) {
      const line = lineOf(text);
      if (line !== undefined) this.#runs.set(line.key, line.run);
    }
  }

  runOf(mutant: Mutant): TestRun | undefined {
    return this.#runs.get(keyOf(mutant));
  }

  keep(mutant: Mutant, run: TestRun): void {
    const key = keyOf(mutant);
    this.#runs.set(key, run);
    if (this.#path !== undefined) appendFileSync(this.#path, `\n${JSON.stringify({ key, run })}`);
  }
}

/** Undefined for one that was cut off when the machine went down: its fault is judged again. */
function lineOf(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}

function keyOf(mutant: Mutant): string {
  const { file, find, replace, tests, only = '', env = {} } = mutant;
  const hash = createHash('sha256').update(JSON.stringify([file, find, replace, tests, only, env]));
  for (const path of [file, ...testFiles(tests)]) hash.update(`\0${path}\0${textOf(path)}`);
  return hash.digest('hex');
}

/** Vitest takes a name for the beginning of a path. */
function testFiles(names: readonly string[]): string[] {
  return filesBelow('test').filter(
    (path) => path.endsWith('.test.ts') && names.some((name) => path.startsWith(`test/${name}`)),
  );
}
