/**
 * For tests that need a GPU. They never skip: npm itself brings an adapter, so its absence is a failure.
 * MOEBIUS_ADAPTER chooses another one: `MOEBIUS_ADAPTER=swiftshader npx vitest run --project node <file>`.
 */
import type { OpenAdapter } from '../../src/platform/platform.ts';
import { testPlatform } from './platform.ts';

export { testPlatform };

/** @throws ConfigError when there is no adapter, which fails the test. */
export function openTestAdapter(): Promise<OpenAdapter> {
  return testPlatform().openAdapter('auto');
}
