/** The page: `npm run web` while it is written, and the build that the package carries. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Connect, type Plugin } from 'vite';
import { withoutComments } from './scripts/shader-text.ts';
import { PAGE_HEADERS } from './src/cli/serve/headers.ts';
import { STYLE } from './src/report/html/style.ts';

const ROOT = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

/** Modules of ours do nothing when they are imported, but for the page's own. */
const TREESHAKE = {
  moduleSideEffects: (id: string) => !/\/src\/(?!page\/)/.test(id) || id.includes('/node_modules/'),
};

/** The report's look, so that both have one. */
function reportStyle(): Plugin {
  const [name, resolved] = ['virtual:report.css', '\0virtual:report.css'];
  return {
    name: 'moebius:report-style',
    resolveId: (id) => (id === name ? resolved : undefined),
    load: (id) => (id === resolved ? STYLE : undefined),
  };
}

/** The bundled model at the address that `moebius serve` has it at. */
function bundledModel(): Plugin {
  const answer: Connect.NextHandleFunction = (request: IncomingMessage, response: ServerResponse, next) => {
    const [, name] = /^\/models\/tiny-moe\/([\w.]+)$/.exec(request.url ?? '') ?? [];
    const file = join(ROOT, 'bench/models/tiny-moe', name ?? '');
    if (name === undefined || !existsSync(file)) return next();
    createReadStream(file).pipe(response);
  };
  return {
    name: 'moebius:model',
    configureServer: ({ middlewares }) => void middlewares.use(answer),
    configurePreviewServer: ({ middlewares }) => void middlewares.use(answer),
  };
}

/** Shaders as a page needs them. */
function shadersOnly(): Plugin {
  return {
    name: 'moebius:shaders',
    apply: 'build',
    enforce: 'pre',
    load(id) {
      const [, file] = /^(.*\/shaders\/.*\.wgsl)\?raw$/.exec(id) ?? [];
      if (file === undefined) return undefined;
      return `export default ${JSON.stringify(withoutComments(readFileSync(file, 'utf8')))}`;
    },
  };
}

/** Tells the service worker which files there are, under a name that changes with them. */
function offlineFiles(): Plugin {
  return {
    name: 'moebius:offline',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        const worker = bundle['offline.js'];
        if (worker?.type !== 'chunk') throw new Error('the build has no offline.js');
        const files = Object.keys(bundle).filter((name) => name !== 'offline.js' && !name.endsWith('.map'));
        const hash = createHash('sha256').update(files.sort().join()).update(worker.code);
        const list = [
          ...files.filter((name) => name !== 'index.html').map((name) => `./${name}`),
          './icon.svg',
        ];
        worker.code = worker.code
          .replaceAll('__PAGE_FILES__', JSON.stringify(list))
          .replaceAll('__PAGE_HASH__', JSON.stringify(hash.digest('hex').slice(0, 16)));
      },
    },
  };
}

export default defineConfig(({ command }) => ({
  root: join(ROOT, 'src/page'),
  base: './',
  define: {
    __MOEBIUS_VERSION__: JSON.stringify(version),
    __MOEBIUS_BUILT__: JSON.stringify(command === 'build'),
  },
  plugins: [reportStyle(), bundledModel(), shadersOnly(), offlineFiles()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es', plugins: () => [shadersOnly()], rolldownOptions: { treeshake: TREESHAKE } },
  build: {
    outDir: join(ROOT, 'dist/page'),
    emptyOutDir: true,
    target: 'esnext',
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    assetsInlineLimit: 0,
    rolldownOptions: {
      treeshake: TREESHAKE,
      input: { index: join(ROOT, 'src/page/index.html'), offline: join(ROOT, 'src/page/offline.ts') },
      output: {
        entryFileNames: ({ name }) => (name === 'offline' ? 'offline.js' : 'assets/[name]-[hash].js'),
      },
    },
  },
  server: { host: '127.0.0.1' },
  preview: { host: '127.0.0.1', headers: PAGE_HEADERS },
}));
