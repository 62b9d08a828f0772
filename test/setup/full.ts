const isPage = typeof process === 'undefined';

/** `npm run test:full` sets it; a page has no environment but what vitest gives it. */
export const isFull = (isPage ? import.meta.env['MOEBIUS_RUNS'] : process.env['MOEBIUS_RUNS']) !== undefined;
