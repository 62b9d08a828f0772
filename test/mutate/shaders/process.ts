/** The process that judges, seen from the one that asks. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Ask, GoesOn } from './messages.ts';

const FILE = fileURLToPath(new URL('worker.ts', import.meta.url));

/** Ends and is started anew when an answer does not come. */
export class Worker {
  /** In which it differs from this process's environment. */
  readonly env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.env = env;
  }

  /** The answer, or at what it was when it did not come: within `limitSeconds`, or before the process ended. */
  async ask<T>(ask: Ask, limitSeconds: number): Promise<{ answer: T } | { hungAt: string }> {
    const child = (this.#child ??= fork(FILE, { env: { ...process.env, ...this.env } }));
    return await new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      let hungAt = '';
      const end = (): void => {
        clearTimeout(timer);
        child.removeAllListeners();
      };
      const wait = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          end();
          this.end();
          resolve({ hungAt });
        }, 1000 * limitSeconds);
      };
      wait();
      child.on('message', (message) => {
        const { goesOn } = message as Partial<GoesOn>;
        if (goesOn === undefined) {
          end();
          resolve({ answer: message as T });
        } else {
          hungAt = goesOn;
          wait();
        }
      });
      child.on('exit', (code) => {
        end();
        this.#child = undefined;
        if (code === 0) reject(new Error('the worker ended'));
        else resolve({ hungAt });
      });
      child.send(ask);
    });
  }

  end(): void {
    this.#child?.removeAllListeners();
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}
