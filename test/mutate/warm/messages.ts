/** What a warm vitest is asked, and what it says. */
import type { Watch } from '../mutant.ts';
import type { TestRun } from '../run-tests.ts';

export interface Ask {
  readonly watch: Watch;
  /** The source that has another text than when last asked. */
  readonly changed: string;
}

export type Answer = Omit<TestRun, 'seconds'>;
