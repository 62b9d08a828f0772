/** Keeps the built page in the browser, so that it opens without a network. What changes on the server has another name. */

/** The parts of a service worker's scope that are used; the types at hand are those of a page. */
interface OfflineEvent extends Event {
  readonly request: Request;
  waitUntil(work: Promise<unknown>): void;
  respondWith(answer: Promise<Response>): void;
}
const scope = globalThis as unknown as {
  readonly location: Location;
  addEventListener(type: string, listener: (event: OfflineEvent) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
};

/** Put in by the build: the files of the page, whose names change with what they hold. */
declare const __PAGE_FILES__: readonly string[];
declare const __PAGE_HASH__: string;

const CACHE = `moebius-${__PAGE_HASH__}`;
const MODEL = ['config.json', 'model.safetensors', 'vocab.json', 'reference.json', 'valid.txt'].map(
  (name) => `./models/tiny-moe/${name}`,
);

scope.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(['./', ...__PAGE_FILES__, ...MODEL]))
      .then(() => scope.skipWaiting()),
  );
});

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names.filter((name) => /^moebius-/.test(name) && name !== CACHE).map((name) => caches.delete(name)),
        ),
      )
      .then(() => scope.clients.claim()),
  );
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== scope.location.origin) return;
  event.respondWith(answer(request));
});

/** The server first, so that a new page is seen at once; without it what was kept. */
async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const isHashed = /\/assets\//.test(request.url);
  const kept = isHashed ? await cache.match(request) : undefined;
  if (kept) return kept;
  try {
    return await fetch(request);
  } catch (error) {
    const old = await cache.match(request.url, { ignoreSearch: true });
    if (old) return partOf(old, request.headers.get('range'));
    // What a model may lack: the server would say so.
    if (/\/models\//.test(request.url)) return new Response(null, { status: 404 });
    throw error;
  }
}

/** Of a kept file the bytes that are asked for, as 'bytes=0-99', as a server answers them; else all of it. */
async function partOf(kept: Response, range: string | null): Promise<Response> {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  if (from === undefined || to === undefined) return kept;
  const whole = await kept.blob();
  const [begin, end] = [Number(from), Math.min(Number(to) + 1, whole.size)];
  const headers = { 'content-range': `bytes ${begin}-${end - 1}/${whole.size}` };
  return new Response(whole.slice(begin, end), { status: 206, headers });
}
