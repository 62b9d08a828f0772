/** Packs the package once and installs it as two users do: one of Node, and one of a page who leaves out what is optional. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

declare module 'vitest' {
  interface ProvidedContext {
    /** The packed file. */
    tarball: string;
    /** A folder whose `node_modules` has the package with all that it brings by default. */
    consumer: string;
    /** One without optional dependencies. */
    bare: string;
  }
}

async function install(folder: string, tarball: string, ...how: string[]): Promise<string> {
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', ...how, tarball];
  execFileSync('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  return folder;
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scratch = await mkdtemp(join(tmpdir(), 'moebius-package-'));
  execFileSync('npm', ['pack', '--pack-destination', scratch], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [name = ''] = await readdir(scratch);
  const tarball = join(scratch, name);
  project.provide('tarball', tarball);
  project.provide('consumer', await install(join(scratch, 'consumer'), tarball));
  project.provide('bare', await install(join(scratch, 'bare'), tarball, '--omit=optional'));
  return () => rm(scratch, { recursive: true, force: true });
}
