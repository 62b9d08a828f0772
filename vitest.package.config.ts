import { defineConfig } from 'vitest/config';

/** The packed tarball as its users have it: `npm run test:package`. Minutes, for want of what npm has to fetch. */
export default defineConfig({
  test: {
    name: 'package',
    include: ['test/package/*.test.ts'],
    globalSetup: ['test/package/installed.ts'],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 600_000,
    env: { MOEBIUS_TUNING: 'off' },
  },
});
