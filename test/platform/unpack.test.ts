/** What is unpacked is known whole before it is used: libraries are loaded from it. */
import { cp, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { unpackOnce } from '../../src/platform/node/unpack.ts';
import { isWhole, listWhole } from '../../src/platform/node/whole.ts';

const FILES = ['libvulkan.so.1', 'libvk_swiftshader.so', 'vk_swiftshader_icd.json'];
const SWIFTSHADER = { name: 'swiftshader', archives: ['swiftshader.tar'], files: FILES };

let scratch: string;
let good: string;

async function unpackedIn(cache: string): Promise<string> {
  vi.stubEnv('XDG_CACHE_HOME', cache);
  try {
    return await unpackOnce(SWIFTSHADER);
  } finally {
    vi.unstubAllEnvs();
  }
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'moebius-test-'));
  good = await unpackedIn(join(scratch, 'good'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe.runIf(process.platform === 'linux')(
  'a cached copy that is not what was unpacked is unpacked anew',
  () => {
    const [loader = '', driver = '', icd = ''] = FILES;
    const foreign = async (path: string): Promise<void> => {
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(path, bytes);
    };
    test.each([
      ['a driver cut in half', (at: string) => truncate(join(at, driver), 3_000_000)],
      ['an empty driver', (at: string) => truncate(join(at, driver), 0)],
      ['an empty loader', (at: string) => truncate(join(at, loader), 0)],
      ['an empty driver file', (at: string) => truncate(join(at, icd), 0)],
      ['a missing file', (at: string) => rm(join(at, icd))],
      ['another file of the same length', (at: string) => foreign(join(at, driver))],
      ['another loader of the same length', (at: string) => foreign(join(at, loader))],
      ['a list that was cut', (at: string) => truncate(join(at, 'whole.json'), 100)],
      ['no list, as earlier versions left it', (at: string) => rm(join(at, 'whole.json'))],
      [
        'a folder in place of a file',
        async (at: string) => (await rm(join(at, icd)), cp(at, join(at, icd)).catch(() => 0)),
      ],
      [
        'a file in place of the folder',
        async (at: string) => (await rm(at, { recursive: true }), writeFile(at, 'x')),
      ],
      [
        'a link to nowhere',
        async (at: string) => (await rm(join(at, driver)), symlink('/nonexistent', join(at, driver))),
      ],
    ] as const)('%s', async (what, spoil) => {
      const cache = join(scratch, what.replaceAll(' ', '-'));
      const folder = good.replace(join(scratch, 'good'), cache);
      await cp(good, folder, { recursive: true });
      await spoil(folder);
      expect(await unpackedIn(cache)).toBe(folder);
      for (const file of FILES) {
        expect((await readFile(join(folder, file))).equals(await readFile(join(good, file))), file).toBe(
          true,
        );
      }
      expect(await isWhole(folder, FILES)).toBe(true);
      expect(await readdir(join(folder, '..')), 'nothing is left beside it').toHaveLength(1);
    });
  },
);

test('a whole copy is used as it is', async () => {
  expect(await isWhole(good, FILES)).toBe(true);
  const folder = join(scratch, 'own');
  await cp(good, folder, { recursive: true });
  expect(await isWhole(folder, [...FILES, 'more'])).toBe(false);
  await expect(listWhole(folder, ['more'])).rejects.toThrow();
});
