/** `npm run build`: the package's JavaScript and types, and the page, from the source to `dist/`. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { nodePlatform } from '../src/platform/node/node.ts';
import { withoutComments } from './shader-text.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const DIST = join(ROOT, 'dist');

/** What a file of types says of another: `from './tensor.ts'`, `import("./tensor.ts")`. */
const TYPESCRIPT = /((?:from |import\()['"]\.{1,2}\/[^'"]+)\.tsx?(['"])/g;
const BUILT = /(?:from |import\()['"](\.{1,2}\/[^'"]+)\.js['"]/g;

/** What `exports` of package.json names. */
const ENTRIES = ['index', 'web', 'kernels'];

/**
 * Types that a program can come to, by names that readers of types take. TypeScript rewrites the endings in JavaScript only, and not
 * every reader takes a `.ts` for a `.d.ts`; files that no export leads to could not be imported, so they go.
 */
function keepReachedTypes(): void {
  const reached = new Set(ENTRIES.map((name) => join(DIST, `${name}.d.ts`)));
  // A set tells what is added while it is gone through.
  for (const file of reached) {
    const text = readFileSync(file, 'utf8').replace(TYPESCRIPT, '$1.js$2');
    writeFileSync(file, text);
    for (const [, path = ''] of text.matchAll(BUILT)) reached.add(join(dirname(file), `${path}.d.ts`));
  }
  for (const path of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.d.ts') && !reached.has(join(DIST, path))) rmSync(join(DIST, path));
  }
}

/** In place of the module that only Vite understands. Readers have `shaders/`. */
function writeShaders(): void {
  const platform = nodePlatform();
  const shaders = platform.shaderPaths().map((path) => [path, withoutComments(platform.shaderSource(path))]);
  if (shaders.length === 0) throw new Error('there are no shaders');
  const text = `/** Made by the build: the text of every shader by its path. */\nexport const shaders = new Map(${JSON.stringify(shaders, null, 1)});\n`;
  writeFileSync(join(DIST, 'platform/web/shaders.js'), text);
}

rmSync(DIST, { recursive: true, force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json')], { stdio: 'inherit' });
keepReachedTypes();
writeShaders();
await build({ configFile: join(ROOT, 'page.config.ts'), logLevel: 'warn' });
