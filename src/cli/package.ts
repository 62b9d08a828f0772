/** Facts about this package: its version, what it runs on, and the commit where it is a checkout. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface PackageFile {
  readonly version: string;
}

function versionIn(folder: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageFile).version;
  } catch {
    return undefined;
  }
}

export function packageVersion(): string {
  return versionIn(PACKAGE_ROOT) ?? 'unknown';
}

/**
 * The version of a package that this one would import: also one that npm has hoisted above it.
 * @param from a file of the importing package.
 */
export function installedVersion(
  name: string,
  from = join(PACKAGE_ROOT, 'package.json'),
): string | undefined {
  for (const modules of createRequire(from).resolve.paths(name) ?? []) {
    const version = versionIn(join(modules, name));
    if (version !== undefined) return version;
  }
  return undefined;
}

/** Versions that a result depends on. */
export function versionsHere(): Record<string, string> {
  const versions: Record<string, string> = { moebius: packageVersion(), node: process.versions.node };
  for (const name of ['webgpu', 'wgsl_reflect', '@sparticuz/chromium']) {
    versions[name] = installedVersion(name) ?? 'not installed';
  }
  return versions;
}

/** The commit of this checkout, '+changes' when files differ from it; undefined outside of git, also in a package in another's checkout. */
export function commitHere(): string | undefined {
  if (!existsSync(join(PACKAGE_ROOT, '.git'))) return undefined;
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', PACKAGE_ROOT, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  try {
    const commit = git('rev-parse', 'HEAD').trim();
    return git('status', '--porcelain', '--untracked-files=no').trim() === '' ? commit : `${commit}+changes`;
  } catch {
    return undefined;
  }
}
