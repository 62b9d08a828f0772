/** The examples run as a reader of the checkout would run them; the packed tarball's tests run them in plain Node. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

test.each([
  ['one-op', /^c = 10 1 -1\.5 26 5 -1\.5: c: ok/m],
  ['engine-on-layout', /^16 ranks, \d+ bytes: "\\nWhat say you/m],
  ['own-kernel', /^primes: c: ok \(worst /m],
])('%s', async (name, says) => {
  const args = ['--import', './src/cli/typescript.js', `bench/examples/${name}.ts`];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  expect(stdout).toMatch(says);
});
