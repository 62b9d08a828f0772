/**
 * What became of faults in earlier runs. A result counts as long as the fault, its file and the tests that watch it have the
 * same text; other files may change.
 */
import { createHash } from 'node:crypto';
import { filesBelow, textOf } from '../hygiene/source-files.ts';
import { KeptLines } from './kept-lines.ts';
import type { Mutant } from './mutant.ts';
import type { TestRun } from './run-tests.ts';

export class KeptRuns {
  readonly #lines: KeptLines<TestRun>;

  /** @param path of the file; undefined keeps nothing. */
  constructor(path?: string) {
    this.#lines = new KeptLines(path, 'run');
  }

  runOf(mutant: Mutant): TestRun | undefined {
    return this.#lines.get(keyOf(mutant));
  }

  keep(mutant: Mutant, run: TestRun): void {
    this.#lines.keep(keyOf(mutant), run);
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
