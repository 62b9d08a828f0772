/** Which tests have noticed faults. Those are asked first about the next fault that the same tests watch. */
import type { Mutant, Watch } from './mutant.ts';
import type { TestRun } from './run-tests.ts';

/** Asking first costs a process, so it is left where all tests together take no longer. A guess. */
const WORTHWHILE_SECONDS = 5;

/** The tests of so many names in one file, and no others. */
function exactly(file: string, names: readonly string[], env: Watch['env']): Watch {
  const escaped = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return { tests: [file], only: `^(?:${escaped.join('|')})$`, ...(env && { env }) };
}

/** What a run names: a test, or a file that did not load. Undefined for what names neither, as tests that did not end. */
function noticerOf({ env }: Watch, { file, failed }: TestRun): Watch | undefined {
  if (file === undefined || failed === undefined) return undefined;
  return failed.endsWith(file) ? { tests: [file], ...(env && { env }) } : exactly(file, [failed], env);
}

/** The test that noticed a fault, to be run without it; all that watch it where none is named. */
export function provenBy(mutant: Mutant, run: TestRun): Watch {
  const { tests, only, env } = mutant;
  return noticerOf(mutant, run) ?? { tests, ...(only !== undefined && { only }), ...(env && { env }) };
}

export class Noticed {
  /** Names of tests by file, for all faults with the same files to watch them. */
  readonly #names = new Map<string, Map<string, Set<string>>>();
  readonly #seconds = new Map<string, number>();

  note(mutant: Mutant, { file, failed, seconds }: TestRun): void {
    const key = keyOf(mutant);
    this.#seconds.set(key, Math.max(seconds, this.#seconds.get(key) ?? 0));
    if (file === undefined || failed === undefined || failed.endsWith(file)) return;
    const files = this.#names.get(key) ?? new Map<string, Set<string>>();
    this.#names.set(key, files.set(file, (files.get(file) ?? new Set()).add(failed)));
  }

  /** What to ask before all tests that watch a fault: file by file, the one with most names first. */
  firstOf(mutant: Mutant): Watch[] {
    const key = keyOf(mutant);
    if ((this.#seconds.get(key) ?? 0) < WORTHWHILE_SECONDS) return [];
    return [...(this.#names.get(key) ?? [])]
      .sort(([, a], [, b]) => b.size - a.size)
      .map(([file, names]) => exactly(file, [...names], mutant.env));
  }
}

const keyOf = ({ tests, env = {} }: Mutant): string => JSON.stringify([tests, env]);
