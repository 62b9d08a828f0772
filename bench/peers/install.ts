/** The peers are a package of their own, 360 MB unpacked, which the first run installs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../../src/core/errors.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));

interface PackageFile {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function packageAt(...path: string[]): PackageFile | undefined {
  try {
    return JSON.parse(readFileSync(join(HERE, ...path, 'package.json'), 'utf8')) as PackageFile;
  } catch {
    return undefined;
  }
}

/** Versions of the peers as they are installed; 'not installed' for one that is missing. */
export function peerVersions(): Record<string, string> {
  const names = Object.keys(packageAt()?.dependencies ?? {});
  return Object.fromEntries(
    names.map((name) => [name, packageAt('node_modules', name)?.version ?? 'not installed']),
  );
}

/** True when every peer is there in the version that is asked for. */
export function peersInstalled(): boolean {
  const installed = peerVersions();
  return Object.entries(packageAt()?.dependencies ?? {}).every(
    ([name, version]) => installed[name] === version,
  );
}

/**
 * Without scripts: onnxruntime-node's would load its CUDA provider, all else is in the package.
 * @throws ConfigError when npm fails.
 */
export function installPeers(): void {
  process.stderr.write('Installing the peers into bench/peers/node_modules, once.\n');
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { status } = spawnSync('npm', args, { cwd: HERE, stdio: ['ignore', process.stderr, process.stderr] });
  if (status === 0 && peersInstalled()) return;
  throw new ConfigError(
    'the peers do not install; npm says why above. They come from the registry that npm is set up with: ' +
      'try "npm ci --ignore-scripts" in bench/peers.',
  );
}
