/** The tests that noticed a fault must pass without any, or noticing means nothing. */
import type { Watch } from './mutant.ts';

/**
 * The tests of all watches, each once: files that are run whole together, and of the others one run a file with all
 * the names that are asked for.
 */
export function baselineRuns(watches: readonly Watch[]): Watch[] {
  const runs: Watch[] = [];
  const environments = new Map(watches.map(({ env = {} }) => [JSON.stringify(env), env]));
  for (const [key, env] of environments) {
    const own = watches.filter((watch) => JSON.stringify(watch.env ?? {}) === key);
    const whole = new Set(own.filter(({ only }) => only === undefined).flatMap(({ tests }) => tests));
    if (whole.size > 0) runs.push({ tests: [...whole].sort(), env });
    const named = new Map<string, Set<string>>();
    for (const { tests, only } of own) {
      for (const path of only === undefined ? [] : tests) {
        if (!whole.has(path)) named.set(path, (named.get(path) ?? new Set()).add(only ?? ''));
      }
    }
    for (const [path, names] of named) {
      runs.push({ tests: [path], only: [...names].map((name) => `(?:${name})`).join('|'), env });
    }
  }
  return runs;
}
