const isPage = typeof process === 'undefined';
const given = (name: 'MOEBIUS_RUNS' | 'MOEBIUS_THOROUGH'): boolean =>
  (isPage ? import.meta.env[name] : process.env[name]) !== undefined;

/** `npm run test:full` sets it; a page has no environment but what vitest gives it. */
export const isFull = given('MOEBIUS_RUNS');

/**
 * Set for one adapter where time is no matter: every variant meets every format and choice that its cases have. `npm test`
 * compiles a part of these pairs, for a compiler of CPU adapters takes seconds for a kernel and nothing is cached at first.
 */
export const isThorough = isFull || given('MOEBIUS_THOROUGH');
