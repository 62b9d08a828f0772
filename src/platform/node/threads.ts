/** Many small works on plain data, spread over threads. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

export interface Threads<T, R> {
  /** The module that runs in a thread: it answers each `Ask` with a `Told`. */
  readonly entry: URL;
  /** What every thread is given at its start, as `workerData`. */
  readonly data: unknown;
  /** How many; as many as the machine has cores when absent. 1: no further thread. */
  readonly count?: number;
  /** The work itself, for this thread: where there are no others, or none starts. */
  readonly here: (task: T) => R;
  /** Ends early: what is finished was told, the rest is not begun. */
  readonly signal?: AbortSignal;
  readonly onResult: (index: number, result: R) => void;
}

/** To a thread, and from it. */
export interface Ask<T> {
  readonly index: number;
  readonly task: T;
}
export interface Told<R> {
  readonly index: number;
  readonly result: R;
}

/** More gain nothing: each loads the program anew. A guess. */
const MOST_THREADS = 16;

/**
 * Does every task, in threads where that pays. @returns whether all were done; false when the signal ended it.
 * @throws whatever a task throws.
 */
export async function inThreads<T, R>(tasks: readonly T[], setting: Threads<T, R>): Promise<boolean> {
  const { signal } = setting;
  const count = Math.min(setting.count ?? availableParallelism(), MOST_THREADS, tasks.length);
  const left = tasks.map((_, index) => index).reverse();
  if (count > 1) await spread(tasks, left, count, setting);
  // Alone, or where no thread came up. The loop of events runs in between, for signals and progress.
  for (let index = left.pop(); index !== undefined && !signal?.aborted; index = left.pop()) {
    setting.onResult(index, setting.here(tasks[index] as T));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return !signal?.aborted;
}

/** Until all are done, the signal ends it, or no thread is left; what was not done is in `left` again. */
function spread<T, R>(
  tasks: readonly T[],
  left: number[],
  count: number,
  { entry, data, signal, onResult }: Threads<T, R>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const alive = new Set<Worker>();
    const end = (error?: Error): void => {
      signal?.removeEventListener('abort', stop);
      const ending = [...alive].map((worker) => worker.terminate());
      alive.clear();
      void Promise.allSettled(ending).then(() => {
        if (error === undefined) resolve();
        else reject(error);
      });
    };
    const stop = (): void => end();
    signal?.addEventListener('abort', stop);
    for (let i = 0; i < count; i++) {
      const worker = startThread(entry, data);
      if (worker === undefined) break;
      alive.add(worker);
      let doing: number | undefined;
      let proven = false;
      const next = (): void => {
        doing = left.pop();
        if (doing !== undefined) worker.postMessage({ index: doing, task: tasks[doing] });
        else {
          alive.delete(worker);
          void worker.terminate();
          if (alive.size === 0) end();
        }
      };
      worker.on('message', ({ index, result }: Told<R>) => {
        if (!alive.has(worker)) return;
        proven = true;
        onResult(index, result);
        next();
      });
      worker.on('error', (error: Error) => {
        if (!alive.delete(worker)) return;
        if (proven) return end(error);
        if (doing !== undefined) left.push(doing);
        if (alive.size === 0) end();
      });
      next();
    }
    if (alive.size === 0) end();
  });
}

/** Undefined where the system gives no thread. */
function startThread(entry: URL, data: unknown): Worker | undefined {
  try {
    return new Worker(entry, { workerData: data, env: process.env });
  } catch {
    return undefined;
  }
}
