/** Who imports the API and calls it finds his process as it was: globals, environment, listeners, console, descriptors. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const PROBE = fileURLToPath(new URL('../setup/probe-globals.ts', import.meta.url));

/**
 * What the probe prints. Its output goes to files: threads of Node set O_NONBLOCK on a pipe's end when they first look at it,
 * which may be before or after the probe's first look.
 */
function probed(adapter: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-probe-'));
  try {
    const [out, err] = [openSync(join(folder, 'out'), 'w'), openSync(join(folder, 'err'), 'w')];
    const { status } = spawnSync(process.execPath, ['--import', 'tsx', PROBE], {
      env: { ...process.env, MOEBIUS_ADAPTER: adapter, MOEBIUS_TUNING: 'off' },
      stdio: ['ignore', out, err],
    });
    for (const file of [out, err]) closeSync(file);
    expect(status, readFileSync(join(folder, 'err'), 'utf8')).toBe(0);
    return readFileSync(join(folder, 'out'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.runIf(process.platform === 'linux')('a process that calls the API', () => {
  test.each(['swiftshader', 'auto'])('is as it was before, on %s', (adapter) => {
    expect(JSON.parse(probed(adapter))).toHaveProperty('changed', []);
  });
});
