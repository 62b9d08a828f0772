/** A warm vitest, seen from the process that asks. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Watch } from '../mutant.ts';
import { begun, ended, endGroup, THOROUGH, type TestRun } from '../run-tests.ts';
import type { Answer, Ask } from './messages.ts';

/** Starts when it is first asked, and anew after tests that do not end. */
export class WarmTests {
  readonly #folder: string;
  #child: ChildProcess | undefined;

  /** @param folder a copy of the project. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns undefined when it gave up. */
  async run(watch: Watch, changed: string, limitSeconds: number): Promise<TestRun | undefined> {
    const began = performance.now();
    const child = (this.#child ??= this.#start());
    const answer = await new Promise<Answer | undefined>((resolve) => {
      const timer = setTimeout(() => {
        this.end();
        resolve({ state: 'hung' });
      }, 1000 * limitSeconds);
      child.once('message', (message) => {
        clearTimeout(timer);
        child.removeAllListeners('exit');
        resolve(message as Answer);
      });
      child.once('exit', () => {
        clearTimeout(timer);
        this.end();
        resolve(undefined);
      });
      child.send({ watch, changed } satisfies Ask);
    });
    return answer && { ...answer, seconds: (performance.now() - began) / 1000 };
  }

  end(): void {
    const { pid } = this.#child ?? {};
    this.#child?.removeAllListeners();
    this.#child = undefined;
    if (pid === undefined) return;
    endGroup(pid);
    ended(pid);
  }

  #start(): ChildProcess {
    const file = join(this.#folder, 'test/mutate/warm/worker.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', file], {
      ...{ cwd: this.#folder, detached: true, env: { ...process.env, ...THOROUGH } },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    if (child.pid !== undefined) begun(child.pid);
    return child;
  }
}
