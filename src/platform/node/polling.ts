/**
 * While work is pending, Dawn's bindings ask whether it is done from one `setImmediate` to the next, without a rest. On
 * an adapter that runs on the CPU that takes a core from the threads which do the work. So the question rests: not at
 * all at first, since short work is to be seen at once, then a small share of the time that has been waited already.
 */

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Blocks the thread for about so many milliseconds. */
  rest(ms: number): void;
}

type SetImmediate = (callback: (...args: unknown[]) => void, ...args: unknown[]) => NodeJS.Immediate;

/** Work that is shorter is asked for without a rest. A guess. */
const EAGER_MS = 0.1;
/** A rest makes a wait at most so much longer: 1 / 64. A guess. */
const SHARE = 1 / 64;
/** The shortest that the system's timers keep, and the longest that other work of the thread may be kept waiting. */
const [SHORTEST_MS, LONGEST_MS] = [0.05, 0.5];

/** restAfter(0.05) = 0, restAfter(1) = 0.05, restAfter(16) = 0.25, restAfter(1000) = 0.5. */
export function restAfter(waitedMs: number): number {
  if (waitedMs < EAGER_MS) return 0;
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, waitedMs * SHARE));
}

/** `setImmediate` that rests before it passes on a question of Dawn's; all else goes through as it is. */
export function restingImmediate(original: SetImmediate, clock: Clock): SetImmediate {
  let asking = false;
  let since = 0;
  return (callback, ...args) => {
    if (!isNative(callback)) return original(callback, ...args);
    if (asking) {
      const ms = restAfter(clock.now() - since);
      if (ms > 0) clock.rest(ms);
    } else {
      since = clock.now();
    }
    return original(() => {
      asking = true;
      try {
        callback(...args);
      } finally {
        asking = false;
      }
    });
  };
}

/** A function made by native code for JavaScript. What settles a promise is native too, but has no prototype. */
function isNative(callback: (...args: unknown[]) => void): boolean {
  return (
    callback.name === '' &&
    Object.hasOwn(callback, 'prototype') &&
    Function.prototype.toString.call(callback).includes('[native code]')
  );
}

let original: typeof setImmediate | undefined;
let resting: typeof setImmediate | undefined;
let waits = 0;

/** The bindings look `setImmediate` up on `globalThis` each time, so it rests there as long as somebody waits. */
function begin(): void {
  waits += 1;
  if (waits > 1) return;
  if (resting === undefined || original !== globalThis.setImmediate) {
    original = globalThis.setImmediate;
    const cell = new Int32Array(new SharedArrayBuffer(4));
    const clock = { now: () => performance.now(), rest: (ms: number) => void Atomics.wait(cell, 0, 0, ms) };
    resting = restingImmediate(original, clock) as typeof setImmediate;
    Object.defineProperties(resting, Object.getOwnPropertyDescriptors(original));
  }
  globalThis.setImmediate = resting;
}

/** What somebody else has put there meanwhile stays. */
function end(): void {
  waits -= 1;
  if (waits > 0 || original === undefined || globalThis.setImmediate !== resting) return;
  globalThis.setImmediate = original;
}

/** Lets the thread rest while Dawn's bindings poll for `work`; afterwards all is as it was. */
export function restWhile(work: Promise<unknown>): void {
  begin();
  work.then(end, end);
}

/** The same until the process ends, for others who wait in it. */
export function restAlways(): void {
  begin();
}
