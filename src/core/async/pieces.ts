/**
 * Long work on the host that can be done in one call or in pieces: between them the thread does what waits for it, so
 * that a message, a signal or a drawing is not kept waiting, and an abort is seen.
 */
import { breathe, throwIfCancelled } from './cancel.ts';

/** Work that may rest wherever it yields; what it returns is its result. */
export type Pieces<T> = Generator<undefined, T, undefined>;

/** A function that a caller may also do in pieces. */
export interface Piecewise<A extends readonly unknown[], T> {
  (...args: A): T;
  readonly pieces: (...args: A) => Pieces<T>;
}

/** A piece is at most so long, ms: below what is felt, and long beside what a rest costs. A guess. */
const PIECE_MS = 30;

/** Functions made here. One that stands in for such a function may bear its properties, and does other work. */
const made = new WeakSet<object>();

/** From a generator that yields where its work may rest, after a millisecond's work or less. */
export function piecewise<A extends readonly unknown[], T>(
  pieces: (...args: A) => Pieces<T>,
): Piecewise<A, T> {
  const whole = (...args: A): T => {
    const work = pieces(...args);
    for (;;) {
      const { done, value } = work.next();
      if (done === true) return value;
    }
  };
  made.add(whole);
  return Object.assign(whole, { pieces });
}

/** As `once`: made at the first call that comes to its end, and kept. */
export function oncePiecewise<T>(make: Piecewise<readonly [], T> | (() => T)): Piecewise<readonly [], T> {
  let kept: { readonly value: T } | undefined;
  return piecewise(function* () {
    return (kept ??= { value: yield* piecesOf(make) }).value;
  });
}

/** Of a function that has no pieces it is all one. */
export function* piecesOf<A extends readonly unknown[], T>(
  work: Piecewise<A, T> | ((...args: A) => T),
  ...args: A
): Pieces<T> {
  return 'pieces' in work && made.has(work) ? yield* work.pieces(...args) : work(...args);
}

/**
 * The result of the work, with a rest after every 30 ms.
 * @throws CancelledError at the next rest after the signal was aborted; whatever the work throws otherwise.
 */
export async function inPieces<T>(work: Pieces<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfCancelled(signal);
  let began = performance.now();
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (performance.now() - began < PIECE_MS) continue;
    await breathe();
    throwIfCancelled(signal);
    began = performance.now();
  }
}
