/**
 * The command line as a package has it, from the source as it stands: so built, a process starts in a fraction of the time. Made
 * once a run, in half a second, and of nothing else than `npm run build` makes it.
 */
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformWithOxc } from 'vite';
import type { TestProject } from 'vitest/node';
import { filesBelow } from '../hygiene/source-files.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Below `node_modules`, so that packages are found from it. */
const CACHE = join(ROOT, 'node_modules/.cache');

declare module 'vitest' {
  interface ProvidedContext {
    /** The built `bin/moebius.js`. */
    command: string;
  }
}

const IMPORT = /((?:from |import |import\()['"]\.{1,2}\/[^'"]+)\.tsx?(['"])/g;

async function writeModule(path: string, dist: string): Promise<void> {
  const { code } = await transformWithOxc(await readFile(join(ROOT, path), 'utf8'), join(ROOT, path), {
    sourcemap: false,
    typescript: { onlyRemoveTypeImports: true },
    jsx: { runtime: 'automatic', importSource: 'preact' },
  });
  const file = join(dist, path.replace(/^src\//, '').replace(/\.tsx?$/, '.js'));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, code.replace(IMPORT, '$1.js$2'));
}

/** Makes the module of one source anew in a command that was built before. @param command what tests are given. */
export async function rebuild(command: string, path: string): Promise<void> {
  if (isModule(path)) await writeModule(path, join(dirname(command), '../dist'));
}

const isModule = (path: string): boolean => /^src\/(?!page\/).*\.tsx?$/.test(path) && !path.endsWith('.d.ts');

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, 'command-'));
  // Tests start it as other users too.
  await chmod(folder, 0o755);
  await Promise.all([
    ...filesBelow('src')
      .filter(isModule)
      .map((path) => writeModule(path, join(folder, 'dist'))),
    ...['bin', 'package.json', 'CHANGELOG.md'].map((name) =>
      cp(join(ROOT, name), join(folder, name), { recursive: true }),
    ),
    ...['shaders', 'bench'].map((name) => symlink(join(ROOT, name), join(folder, name))),
  ]);
  project.provide('command', join(folder, 'bin/moebius.js'));
  return () => rm(folder, { recursive: true, force: true });
}
