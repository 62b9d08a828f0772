/** Calling work off: whoever asked for it holds an AbortController, and the work looks at its signal between submits. */
import { CancelledError, messageOf } from '../errors.ts';

/** What a call that was given `signal` is rejected with once it has been aborted. */
export function cancelledBy(signal: AbortSignal): CancelledError {
  const reason: unknown = signal.reason;
  // The reason that is there when none was given is a DOMException of this name.
  const isPlain = reason instanceof Error && reason.name === 'AbortError';
  const why = isPlain ? '' : `: ${messageOf(reason)}`;
  return new CancelledError(`The work was cancelled${why}${/[.?!]$/.test(why) ? '' : '.'}`, {
    cause: reason,
  });
}

/** @throws CancelledError when the signal was aborted. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelledBy(signal);
}

/** What is to be done at the abort of a signal that somebody waits with: one listener each, since Node warns of many. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `stop` once when the signal is aborted, at once when it was. @returns the end of it: nothing stays. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    stop();
    return () => undefined;
  }
  let stops = waiting.get(signal);
  if (stops === undefined) {
    const all = new Set<() => void>();
    waiting.set(signal, all);
    signal.addEventListener('abort', runAll, { once: true });
    stops = all;
  }
  stops.add(stop);
  return () => {
    if (!stops.delete(stop) || stops.size > 0) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', runAll);
  };
}

function runAll(this: AbortSignal): void {
  const stops = waiting.get(this) ?? [];
  waiting.delete(this);
  for (const stop of [...stops]) stop();
}

/**
 * The result of `work`, which goes on, unless the signal is aborted before it is there.
 * @throws CancelledError then; whatever the work throws otherwise.
 */
export async function unlessCancelled<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let end: () => void = () => undefined;
  const cancelled = new Promise<never>((_, reject) => {
    end = onAbort(signal, () => reject(cancelledBy(signal)));
  });
  try {
    return await Promise.race([work, cancelled]);
  } finally {
    end();
    // Nobody looks at the loser of the race.
    cancelled.catch(() => undefined);
    work.catch(() => undefined);
  }
}

/** Aborted as soon as one of those given is; undefined when there are none. */
export function anyOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

/**
 * Lets the thread do what waits for it: between long pieces of work on the host, so that a message, a signal or a
 * drawing is not kept waiting.
 */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
