/** What npm installs is what was looked at: pinned, from the registry, with its hash, and nothing runs but what is named. */
import { describe, expect, test } from 'vitest';
import { textOf } from './source-files.ts';

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}

interface PackageFile {
  readonly version: string;
}

const GROUPS = ['dependencies', 'optionalDependencies', 'devDependencies', 'peerDependencies'] as const;

/** With why each may run when it is installed. */
const INSTALL_SCRIPTS: Readonly<Record<string, string>> = {
  'node_modules/esbuild': 'puts its program in place, for tsx',
  'node_modules/webgpu': 'takes a mark of macOS off its library',
  'node_modules/onnxruntime-node': "fetches libraries of graphics cards, for the peers' bench alone",
};

const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$/;

/** A lock file may leave the address out: then it is the registry's, by name and version. */
const REGISTRY = /^https:\/\/registry\.npmjs\.org\//;

function faultsOf([path, { version, resolved, integrity, link, hasInstallScript }]: [
  string,
  Locked,
]): string[] {
  return [
    ...(EXACT.test(version ?? '') ? [] : [`${path}: ${version} is no version`]),
    ...(resolved === undefined || REGISTRY.test(resolved) ? [] : [`${path}: comes from ${resolved}`]),
    ...(/^sha512-[\w+/]{86}==$/.test(integrity ?? '') ? [] : [`${path}: has no SHA-512`]),
    ...(link === true ? [`${path}: is a link`] : []),
    ...(hasInstallScript === true && !(path in INSTALL_SCRIPTS)
      ? [`${path}: runs when it is installed`]
      : []),
  ];
}

describe.each(['.', 'bench/peers'])('%s', (folder) => {
  const own = JSON.parse(textOf(`${folder}/package.json`)) as PackageFile &
    Record<string, Record<string, string>>;
  const lock = JSON.parse(textOf(`${folder}/package-lock.json`)) as {
    readonly version: string;
    readonly packages: Record<string, Locked & Record<string, unknown>>;
  };
  const { '': root, ...packages } = lock.packages;

  test('package.json names exact versions', () => {
    const named = GROUPS.flatMap((group) => Object.entries(own[group] ?? {}));
    expect(named.length).toBeGreaterThan(1);
    expect(named.filter(([, version]) => !EXACT.test(version))).toEqual([]);
  });

  test('the lock file is that of package.json', () => {
    for (const group of GROUPS) expect(root?.[group] ?? {}).toEqual(own[group] ?? {});
    expect(lock.version).toBe(own.version);
  });

  test('all that is locked is a version from the registry with its hash', () => {
    expect(Object.keys(packages).length).toBeGreaterThan(5);
    expect(Object.entries(packages).flatMap(faultsOf)).toEqual([]);
  });
});

test.each([
  [{ version: '1.0.0', resolved: 'git+ssh://git@github.com/a/b.git#abc' }, /comes from git/],
  [{ version: '1.0.0', resolved: 'http://registry.npmjs.org/a/-/a-1.0.0.tgz' }, /comes from http:/],
  [{ version: 'file:../b' }, /no version/],
  [{ version: '1.0.0', integrity: 'sha1-abc' }, /no SHA-512/],
  [{ version: '1.0.0', hasInstallScript: true }, /runs when/],
  [{ version: '1.0.0', link: true }, /is a link/],
])('%j is a fault', (locked, fault) => {
  expect(faultsOf(['node_modules/a', locked]).join()).toMatch(fault);
});
