/** One fault against its tests: the quick ways may only find that one of them fails. */
import { plant } from './copies.ts';
import type { Mutant } from './mutant.ts';
import type { Noticed } from './noticed.ts';
import { runTests, type TestRun } from './run-tests.ts';
import type { WarmTests } from './warm/process.ts';

/** A copy of the project, and a vitest that stays there. */
export interface Place {
  readonly folder: string;
  readonly warm: WarmTests;
}

/**
 * Plants a fault, and asks first the tests that noticed others, then all. A fault that none notices, or one whose tests do
 * not end, is judged once more in a process of its own, where nothing is left of what ran before.
 */
export async function judgeFault(
  { folder, warm }: Place,
  mutant: Mutant,
  noticed: Noticed,
  limitSeconds: number,
): Promise<TestRun> {
  const takeOut = plant(folder, mutant);
  const began = performance.now();
  const sinceThen = (): number => (performance.now() - began) / 1000;
  try {
    for (const watch of noticed.firstOf(mutant)) {
      const run = await warm.run(watch, mutant.file, limitSeconds);
      if (run?.state === 'failed') return { ...run, seconds: sinceThen() };
    }
    const run = await warm.run(mutant, mutant.file, limitSeconds);
    if (run !== undefined) noticed.note(mutant, run);
    if (run?.state === 'failed') return { ...run, seconds: sinceThen() };
    return { ...(await runTests(folder, mutant, limitSeconds)), seconds: sinceThen() };
  } finally {
    takeOut();
  }
}
