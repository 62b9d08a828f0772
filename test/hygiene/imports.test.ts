/** Imports go down only. The table of layers is this one; ARCHITECTURE.md shows the same. */
import { isBuiltin } from 'node:module';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { filesBelow, importsOf, isScript, parse } from './source-files.ts';

/** What each layer may import beside itself. `platform` is its interface; the implementations are `platform/*`. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  platform: ['core'],
  'platform/node': ['core', 'platform'],
  'platform/web': ['core', 'platform'],
  tensor: ['core'],
  model: ['core', 'tensor', 'platform'],
  layout: ['core', 'model'],
  routing: ['core', 'model', 'layout'],
  reference: ['core', 'tensor', 'model'],
  gpu: ['core', 'tensor', 'platform'],
  kernels: ['core', 'tensor', 'gpu'],
  collectives: ['core', 'layout', 'gpu', 'kernels'],
  runtime: ['core', 'platform', 'tensor', 'model', 'layout', 'routing', 'gpu', 'kernels', 'collectives'],
  ops: ['core', 'tensor', 'model', 'reference', 'gpu', 'kernels', 'collectives'],
  plan: ['core', 'model', 'layout', 'routing'],
  profile: ['core', 'gpu', 'model'],
  validate: [
    ...['core', 'platform', 'tensor', 'model', 'layout', 'routing', 'reference', 'gpu', 'kernels'],
    ...['collectives', 'runtime', 'ops', 'plan', 'profile'],
  ],
  bench: [
    ...['core', 'platform', 'tensor', 'model', 'layout', 'routing', 'reference', 'gpu', 'kernels'],
    ...['collectives', 'runtime', 'ops', 'plan', 'profile', 'validate'],
  ],
  tune: [
    ...['core', 'platform', 'tensor', 'model', 'layout', 'routing', 'reference', 'gpu', 'kernels'],
    ...['collectives', 'runtime', 'ops', 'plan', 'profile', 'validate', 'bench'],
  ],
  report: ['core', 'platform', 'model', 'plan', 'profile', 'ops', 'validate', 'bench', 'tune'],
};

/** These put everything together. */
const TOP = new Set(['cli', 'web', 'index']);
const MAY_USE_NODE = new Set(['platform/node', 'cli']);
const BARREL = 'src/index.ts';

/** src/platform/node/node.ts -> platform/node, src/core/math.ts -> core, src/index.ts -> index. */
function layerOf(path: string): string {
  const [, folder = '', inner = ''] = path.split('/');
  if (folder === 'platform' && (inner === 'node' || inner === 'web')) return `platform/${inner}`;
  return folder.replace(/\.ts$/, '');
}

const sources = filesBelow('src').filter(isScript);
const imports = new Map(sources.map((path) => [path, importsOf(path)]));

function isReExport(statement: ts.Statement): boolean {
  return ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined;
}

/** The first cycle that a walk in depth meets, as the files along it. */
function findCycle(): string[] {
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return [];
    trail.push(path);
    for (const imported of imports.get(path) ?? []) {
      const cycle = visit(imported);
      if (cycle.length > 0) return cycle;
    }
    trail.pop();
    done.add(path);
    return [];
  };
  return sources.map(visit).find((cycle) => cycle.length > 0) ?? [];
}

test('the scan reads type imports, dynamic imports and re-exports', () => {
  expect(importsOf('src/platform/node/adapters.ts')).toEqual(
    expect.arrayContaining(['src/platform/platform.ts', 'webgpu']),
  );
});

test('every folder of src is a layer of the table', () => {
  const unknown = sources.filter((path) => !(layerOf(path) in LAYERS) && !TOP.has(layerOf(path)));
  expect(unknown).toEqual([]);
});

describe.each(Object.entries(LAYERS))('%s', (layer, allowed) => {
  test(`imports only ${['itself', ...allowed].join(', ')}`, () => {
    const wrong = [...imports]
      .filter(([path]) => layerOf(path) === layer)
      .flatMap(([path, list]) => list.map((imported) => ({ path, imported })))
      .filter(
        ({ imported }) =>
          imported.startsWith('src/') || imported.startsWith('test/') || imported.startsWith('bench/'),
      )
      .filter(
        ({ imported }) => ![layer, ...allowed].includes(layerOf(imported)) || !imported.startsWith('src/'),
      )
      .map(({ path, imported }) => `${path} imports ${imported}`);
    expect(wrong).toEqual([]);
  });
});

test("only the platform in Node and the command line import Node's modules", () => {
  const wrong = [...imports]
    .filter(([path]) => !MAY_USE_NODE.has(layerOf(path)))
    .flatMap(([path, list]) =>
      list.filter((name) => isBuiltin(name)).map((name) => `${path} imports ${name}`),
    );
  expect(wrong).toEqual([]);
});

test('nothing imports itself by way of others', () => {
  expect(findCycle()).toEqual([]);
});

test(`${BARREL} is the only file that does nothing but re-export`, () => {
  const barrels = sources.filter((path) => {
    const { statements } = parse(path);
    return statements.length > 0 && statements.every(isReExport);
  });
  expect(barrels.filter((path) => path !== BARREL)).toEqual([]);
});
