/** The built page's server: the files that there are when it starts, on this machine only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { pipeline } from 'node:stream';
import { ConfigError, codeOf, messageOf } from '../../core/errors.ts';
import { PACKAGE_ROOT } from '../package.ts';
import { PAGE_HEADERS } from './headers.ts';

const HOST = '127.0.0.1';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

/** Of the bundled model what the page asks for, by its address. */
const MODEL = ['config.json', 'model.safetensors', 'vocab.json', 'reference.json', 'valid.txt'];

export interface PageFiles {
  /** The built page. */
  readonly page: string;
  /** Of the bundled model. */
  readonly model: string;
}

export const PACKAGED: PageFiles = {
  page: join(PACKAGE_ROOT, 'dist/page'),
  model: join(PACKAGE_ROOT, 'bench/models/tiny-moe'),
};

/** Addresses and their files. Nothing else is ever sent. @throws ConfigError when the page is not built. */
export function addressesOf({ page, model }: PageFiles): ReadonlyMap<string, string> {
  if (!existsSync(join(page, 'index.html'))) {
    throw new ConfigError(
      `the page is not built: there is no ${join(page, 'index.html')}. Run "npm run build".`,
    );
  }
  const found = new Map<string, string>();
  for (const entry of readdirSync(page, { recursive: true, encoding: 'utf8' })) {
    const file = join(page, entry);
    if (statSync(file).isFile()) found.set(`/${relative(page, file).split(sep).join('/')}`, file);
  }
  found.set('/', join(page, 'index.html'));
  for (const name of MODEL) found.set(`/models/tiny-moe/${name}`, join(model, name));
  return found;
}

/**
 * Serves the page. @param port 0 takes any that is free.
 * @throws ConfigError when the page is not built or the port is taken.
 */
export async function servePage(
  port: number,
  files: PageFiles = PACKAGED,
): Promise<{ readonly server: Server; readonly url: string }> {
  const addresses = addressesOf(files);
  const server = createServer((request, response) => answer(addresses, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const why = codeOf(error) === 'EADDRINUSE' ? 'something listens there already' : messageOf(error);
      reject(
        new ConfigError(`cannot serve on port ${port}: ${why}. Give another with --port, or 0 for any.`),
      );
    });
    server.listen(port, HOST, resolve);
  });
  const address = server.address();
  const taken = typeof address === 'object' && address !== null ? address.port : port;
  return { server, url: `http://${HOST}:${taken}/` };
}

function answer(
  addresses: ReadonlyMap<string, string>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const refuse = (status: number, text: string): void => {
    response.writeHead(status, { ...PAGE_HEADERS, 'Content-Type': TYPES['.txt'] }).end(`${text}\n`);
  };
  // A name that leads here from elsewhere may be another's page that wants to read this one.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) {
    return refuse(421, 'This server answers to 127.0.0.1 and localhost only.');
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'Only GET and HEAD.');
  const path = (request.url ?? '/').split(/[?#]/, 1).join('');
  const file = addresses.get(path);
  if (file === undefined) return refuse(404, 'There is no such file.');
  const isNamedByContent = path.startsWith('/assets/');
  response.writeHead(200, {
    ...PAGE_HEADERS,
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Content-Length': statSync(file).size,
    'Cache-Control': isNamedByContent ? 'public, max-age=31536000, immutable' : 'no-cache',
  });
  if (request.method === 'HEAD') response.end();
  // A reader that leaves early is no fault of ours.
  else pipeline(createReadStream(file), response, () => undefined);
}
