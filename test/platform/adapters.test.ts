/** The search for an adapter, each case in a process of its own, since drivers are found through its environment. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AdapterFacts } from '../../src/platform/platform.ts';

const PROBE = fileURLToPath(new URL('../setup/probe-adapter.ts', import.meta.url));
const PROBE_WORKER = fileURLToPath(new URL('../setup/probe-worker.ts', import.meta.url));
const NO_DRIVERS = { VK_ICD_FILENAMES: '/nonexistent', VK_DRIVER_FILES: '/nonexistent' };

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'moebius-test-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function probe(
  choices: readonly string[],
  env: Record<string, string> = {},
): Promise<(AdapterFacts | string)[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--expose-gc', PROBE, ...choices],
    { env: { ...process.env, MOEBIUS_ADAPTER: '', ...env } },
  );
  return JSON.parse(stdout) as (AdapterFacts | string)[];
}

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('the embedded adapter', () => {
  const embedded = { kind: 'embedded-software', name: 'SwiftShader Device (Subzero)' };

  test('opens by name beside the drivers of the system, and survives the collector', async () => {
    expect(await probe(['swiftshader'])).toMatchObject([embedded]);
  });

  test('is what auto finds where the system has no driver', async () => {
    const [facts] = await probe(['auto'], NO_DRIVERS);
    expect(facts).toMatchObject(embedded);
    expect((facts as AdapterFacts).search).toEqual([
      "Dawn finds no adapter through the system's drivers.",
      'Loaded the SwiftShader that npm brings.',
      'Opened SwiftShader Device (Subzero) (embedded-software).',
    ]);
  });

  test('MOEBIUS_ADAPTER is what auto means', async () => {
    expect(await probe(['auto'], { MOEBIUS_ADAPTER: 'SWIFT' })).toMatchObject([embedded]);
  });

  test('the adapter of the system opens again after it in the same process', async () => {
    const [before, middle, after] = await probe(['auto', 'swiftshader', 'auto']);
    expect(middle).toMatchObject(embedded);
    expect(after).toEqual(before);
  });

  test('is unpacked once, whole, by processes that start together', async () => {
    const env = { ...NO_DRIVERS, XDG_CACHE_HOME: scratch };
    const results = await Promise.all([1, 2, 3].map(() => probe(['swiftshader'], env)));
    expect(results).toMatchObject([[embedded], [embedded], [embedded]]);
    expect(await readdir(join(scratch, 'moebius'))).toEqual([
      expect.stringMatching(/^swiftshader-\d+\.\d+\.\d+$/),
    ]);
  });

  test('is unpacked below the folder for temporary files when there is no home to write to', async () => {
    const env = { ...NO_DRIVERS, XDG_CACHE_HOME: '/dev/null', TMPDIR: scratch };
    expect(await probe(['swiftshader'], env)).toMatchObject([embedded]);
    expect(await readdir(scratch)).toContain(`moebius-${process.getuid?.() ?? 'user'}`);
  });

  test('opens in a worker thread that shares the environment, and says so to one that does not', async () => {
    const opened = async (...args: string[]): Promise<unknown> => {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--import', 'tsx', PROBE_WORKER, ...args],
        { env: { ...process.env, MOEBIUS_ADAPTER: '', ...NO_DRIVERS } },
      );
      return JSON.parse(stdout);
    };
    const refused: unknown = expect.stringMatching(/cannot be opened in a worker.*env: SHARE_ENV/);
    expect(await opened('workers', 'swiftshader')).toEqual([refused]);
    expect(await opened('main', 'auto')).toEqual([embedded.name, refused]);
    expect(await opened('workers', 'auto', 'share')).toEqual([embedded.name]);
    expect(await opened('main', 'auto', 'share')).toEqual([embedded.name, embedded.name]);
  });

  test('a wrong name is refused with the names that there are', async () => {
    const [message] = await probe(['voodoo'], NO_DRIVERS);
    expect(message).toMatch(
      /no adapter opens for "voodoo"\. There is: SwiftShader Device \(Subzero\), embedded\./,
    );
  });
});
