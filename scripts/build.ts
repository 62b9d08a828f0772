/** `npm run build`: the package's JavaScript and types, and the page, from the source to `dist/`. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { nodePlatform } from '../src/platform/node/node.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const DIST = join(ROOT, 'dist');

/** What a file of types says of another: `from './tensor.ts'`, `import("./tensor.ts")`. */
const TYPESCRIPT = /((?:from |import\()['"]\.{1,2}\/[^'"]+)\.tsx?(['"])/g;

/** TypeScript rewrites the endings in JavaScript only; not every reader of types takes a `.ts` for a `.d.ts`. */
function nameBuiltFiles(): void {
  for (const path of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.d.ts')) continue;
    const file = join(DIST, path);
    writeFileSync(file, readFileSync(file, 'utf8').replace(TYPESCRIPT, '$1.js$2'));
  }
}

/** In place of the module that only Vite understands. */
function writeShaders(): void {
  const platform = nodePlatform();
  const shaders = platform.shaderPaths().map((path) => [path, platform.shaderSource(path)]);
  if (shaders.length === 0) throw new Error('there are no shaders');
  const text = `/** Made by the build: the text of every shader by its path. */\nexport const shaders = new Map(${JSON.stringify(shaders, null, 1)});\n`;
  writeFileSync(join(DIST, 'platform/web/shaders.js'), text);
}

rmSync(DIST, { recursive: true, force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.build.json')], { stdio: 'inherit' });
nameBuiltFiles();
writeShaders();
await build({ configFile: join(ROOT, 'page.config.ts'), logLevel: 'warn' });
