/** Packages that an installation may leave out: `npm install --omit=optional`, as for a page. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const PACKAGE_FILE = fileURLToPath(new URL('../../../package.json', import.meta.url));

/** The bindings to Dawn, and what carries SwiftShader and a Chromium. */
export type OptionalPackage = 'webgpu' | '@sparticuz/chromium';

interface PackageFile {
  readonly optionalDependencies: Readonly<Record<OptionalPackage, string>>;
}

/** The path of its entry; undefined when it is not installed. */
export function entryOf(name: OptionalPackage): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch {
    return undefined;
  }
}

/** 'npm install webgpu@0.6.2': the version that this package was tested with. */
export function installCommand(name: OptionalPackage): string {
  const { optionalDependencies } = JSON.parse(readFileSync(PACKAGE_FILE, 'utf8')) as PackageFile;
  return `npm install ${name}@${optionalDependencies[name]}`;
}
