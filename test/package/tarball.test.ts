/** What is packed: all that is needed, nothing of the checkout, and no more than may be sent. */
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { expect, inject, test } from 'vitest';
import { filesBelow } from '../hygiene/source-files.ts';

const files = execFileSync('tar', ['-tzf', inject('tarball')], { encoding: 'utf8' })
  .split('\n')
  .map((path) => path.replace(/^package\//, ''))
  .filter((path) => path !== '');

test('is at most 7 MB', () => {
  expect(statSync(inject('tarball')).size).toBeLessThanOrEqual(7e6);
});

test('holds all shaders, the model and the command line', () => {
  const shaders = filesBelow('shaders');
  expect(shaders.length).toBeGreaterThan(40);
  expect(files).toEqual(expect.arrayContaining(shaders));
  expect(files).toEqual(expect.arrayContaining(filesBelow('bench/models/tiny-moe')));
  expect(files).toEqual(
    expect.arrayContaining(['bin/moebius.js', 'dist/cli/main.js', 'LICENSE', 'README.md']),
  );
});

test('holds JavaScript for every file of the source, types where an export leads, and no source', () => {
  const sources = filesBelow('src').filter(
    (path) => /\.tsx?$/.test(path) && !path.endsWith('.d.ts') && !path.startsWith('src/page/'),
  );
  const built = sources.map((path) => path.replace(/^src\//, 'dist/').replace(/\.tsx?$/, ''));
  expect(files).toEqual(expect.arrayContaining(built.map((path) => `${path}.js`)));
  // That none is missing shows in types.test.ts, where they are checked without skipLibCheck.
  const types = files.filter((path) => path.endsWith('.d.ts'));
  expect(types).toEqual(
    expect.arrayContaining(['index', 'web', 'kernels', 'gpu/gpu'].map((name) => `dist/${name}.d.ts`)),
  );
  expect(types.filter((path) => /^dist\/cli\/(main|program|run)\./.test(path))).toEqual([]);
  const mayBe =
    /^(bin|dist|shaders|bench\/(models\/tiny-moe|examples|data\/routing))\/|^(package\.json|LICENSE|[A-Z]+\.md)$/;
  expect(files.filter((path) => !mayBe.test(path))).toEqual([]);
  const rest = files.filter((path) => path.startsWith('dist/') && !path.startsWith('dist/page/'));
  expect(rest.filter((path) => !/(\.js|\.d\.ts)$/.test(path))).toEqual([]);
});

test('holds the built page, and the model only once', () => {
  expect(files).toEqual(
    expect.arrayContaining(['dist/page/index.html', 'dist/page/offline.js', 'dist/page/icon.svg']),
  );
  expect(files.filter((path) => path.endsWith('model.safetensors'))).toHaveLength(1);
});
