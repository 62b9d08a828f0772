/** Who imports the API and calls it finds his process as it was: globals, environment, listeners, console, descriptors. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const PROBE = fileURLToPath(new URL('../setup/probe-globals.ts', import.meta.url));

describe.runIf(process.platform === 'linux')('a process that calls the API', () => {
  test.each(['swiftshader', 'auto'])('is as it was before, on %s', async (adapter) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', PROBE], {
      env: { ...process.env, MOEBIUS_ADAPTER: adapter, MOEBIUS_TUNING: 'off' },
    });
    expect(JSON.parse(stdout)).toHaveProperty('changed', []);
  });
});
