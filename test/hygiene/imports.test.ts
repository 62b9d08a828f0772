/** Imports go down only, as ARCHITECTURE.md's table of layers has it. */
import { isBuiltin } from 'node:module';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { filesBelow, importsOf, isScript, parse, textOf } from './source-files.ts';

/** A layer of ARCHITECTURE's table: what it may import beside itself. Undefined: everything. */
type Layers = ReadonlyMap<string, readonly string[] | undefined>;

/** '| `ops` | operations | all above but layout |', 'all above and platform/web' and so on. */
function layersIn(markdown: string): Layers {
  const rows = [...markdown.matchAll(/^\| `([a-z/]+)` +\|[^|]*\| ([^|]+?) +\|$/gm)];
  const layers = new Map<string, readonly string[] | undefined>();
  for (const [, layer = '', may = ''] of rows) {
    const above = [...layers.keys()].filter((name) => !name.startsWith('platform/'));
    const [, but, and] = /^all above(?: but (.+?))?(?: and (.+))?$/.exec(may) ?? [];
    if (may === 'everything') layers.set(layer, undefined);
    else if (may.startsWith('all above'))
      layers.set(layer, [...without(above, but?.split(', ') ?? []), ...(and?.split(', ') ?? [])]);
    else layers.set(layer, may === '-' ? [] : may.split(', '));
    const wrong = layers.get(layer)?.filter((name) => !layers.has(name)) ?? [];
    if (wrong.length > 0) throw new Error(`${layer} may import ${wrong.join()}, which is no layer above it`);
  }
  return layers;
}

/** @throws Error for a name that there is not: an exception that excepts nothing. */
function without(names: readonly string[], some: readonly string[]): string[] {
  const unknown = some.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`all above but ${unknown.join()}: no layer above`);
  return names.filter((name) => !some.includes(name));
}

const LAYERS = layersIn(textOf('ARCHITECTURE.md'));
const MAY_USE_NODE = new Set(['platform/node', 'cli']);
/** What the package exports. */
const BARRELS = ['src/index.ts', 'src/kernels.ts', 'src/portable.ts', 'src/web.ts'];

/** src/platform/node/node.ts -> platform/node, src/core/math.ts -> core, src/web.ts -> index. */
function layerOf(path: string): string {
  const [, folder = '', inner = ''] = path.split('/');
  if (folder === 'platform' && (inner === 'node' || inner === 'web')) return `platform/${inner}`;
  return inner === '' ? 'index' : folder;
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
  expect(sources.filter((path) => !LAYERS.has(layerOf(path)))).toEqual([]);
  const used = new Set(sources.map(layerOf));
  expect([...LAYERS.keys()].filter((layer) => !used.has(layer))).toEqual([]);
});

const bounded = [...LAYERS].flatMap(([layer, may]) => (may === undefined ? [] : [[layer, may] as const]));

describe.each(bounded)('%s', (layer, allowed) => {
  test(`imports only ${['itself', ...allowed].join(', ')}`, () => {
    const wrong = [...imports]
      .filter(([path]) => layerOf(path) === layer)
      .flatMap(([path, list]) => list.map((imported) => ({ path, imported })))
      .filter(
        ({ imported }) =>
          imported.startsWith('src/') || imported.startsWith('test/') || imported.startsWith('bench/'),
      )
      // The text of an example is shown, and is no code of ours.
      .filter(({ imported }) => !/^bench\/examples\/.*\?raw$/.test(imported))
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

test.each(['src/web.ts', 'src/kernels.ts'])('%s needs no module of Node', (entry) => {
  const reached = new Set([entry]);
  for (const path of reached) for (const imported of imports.get(path) ?? []) reached.add(imported);
  expect(reached.size).toBeGreaterThan(30);
  const wrong = [...reached].filter(
    (name) => isBuiltin(name) || (name.startsWith('src/') && MAY_USE_NODE.has(layerOf(name))),
  );
  expect(wrong).toEqual([]);
});

test(`${BARRELS.join(', ')} are the only files that do nothing but re-export`, () => {
  const barrels = sources.filter((path) => {
    const { statements } = parse(path);
    return statements.length > 0 && statements.every(isReExport);
  });
  expect(barrels).toEqual(BARRELS);
});

const MOST_FILES = 15;

test(`no folder has more than ${MOST_FILES} files at one level`, () => {
  const counts = new Map<string, number>();
  for (const path of ['src', 'shaders', 'bench', 'test'].flatMap(filesBelow)) {
    const folder = path.slice(0, path.lastIndexOf('/'));
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  expect(counts.size).toBeGreaterThan(20);
  expect([...counts].filter(([, count]) => count > MOST_FILES)).toEqual([]);
});
