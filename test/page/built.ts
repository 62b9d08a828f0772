/** The page as `npm run build` makes it, built once for every state of its source. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { PACKAGED, type PageFiles } from '../../src/cli/serve/server.ts';
import { codeOf } from '../../src/core/errors.ts';
import { filesBelow, textOf } from '../hygiene/source-files.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache');
const PREFIX = 'page-';
const DAY_MS = 24 * 60 * 60 * 1000;

/** All that a build reads, but for the packages that the lock file names. */
function sourceHash(): string {
  const read = [
    ...['src', 'shaders', 'scripts', 'bench/examples'].flatMap((folder) => filesBelow(folder)),
    ...['page.config.ts', 'package.json', 'package-lock.json'],
  ];
  const hash = createHash('sha256');
  for (const path of read) hash.update(path).update('\0').update(textOf(path)).update('\0');
  return hash.digest('hex').slice(0, 16);
}

/** Tests only read it. */
export async function builtPage(): Promise<PageFiles> {
  const page = join(CACHE, PREFIX + sourceHash());
  if (!existsSync(page)) {
    await mkdir(CACHE, { recursive: true });
    await removeOld();
    const draft = await mkdtemp(join(CACHE, `${PREFIX}draft-`));
    await build({
      ...{ configFile: join(ROOT, 'page.config.ts'), logLevel: 'error' },
      build: { outDir: draft, emptyOutDir: true },
    });
    try {
      await rename(draft, page);
    } catch (error) {
      // Another process has built the same meanwhile.
      if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
      await rm(draft, { recursive: true, force: true });
    }
  }
  return { page, model: PACKAGED.model };
}

async function removeOld(): Promise<void> {
  for (const name of await readdir(CACHE)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(CACHE, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > DAY_MS)
      await rm(path, { recursive: true, force: true });
  }
}
