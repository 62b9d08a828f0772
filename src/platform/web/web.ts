/** The platform in a page: the browser's adapter, shaders that came with the page, files by `fetch`. */
import { AbsentFileError, ConfigError, messageOf } from '../../core/errors.ts';
import { NS_PER_MS } from '../../core/units.ts';
import { isSoftwareName, matches, saysNothing } from '../choice.ts';
import type {
  AdapterChoice,
  AdapterFacts,
  AdapterKind,
  ByteFile,
  OpenAdapter,
  Platform,
} from '../platform.ts';
import { shaders } from './shaders.ts';

/** Options of `webPlatform`. */
export interface WebOptions {
  /** Where relative paths count from; by default the page's own address. */
  readonly baseUrl?: string | URL;
}

/** A page cannot list adapters: these are the requests that may give different ones. */
const REQUESTS: readonly GPURequestAdapterOptions[] = [
  { powerPreference: 'high-performance' },
  { powerPreference: 'low-power' },
  { forceFallbackAdapter: true },
  { featureLevel: 'compatibility' },
];

/** Chosen by this name whatever the adapter's own: WebGPU's compatibility mode, which has fewer limits and features. */
const COMPATIBILITY = 'compatibility';

/** Whether an adapter was ever given here: then having none any more has another reason. */
let hadAdapter = false;
const CRASHED =
  'the browser gives no adapter any more: its GPU process has ended once too often. Reload the page; what is finished is kept.';

/** Browsers leave most of these empty. */
function nameOf({ description, device, vendor, architecture }: GPUAdapterInfo): string {
  return description || device || `${vendor} ${architecture}`.trim() || 'unnamed adapter';
}

function fits(
  choice: AdapterChoice,
  { featureLevel }: GPURequestAdapterOptions,
  { description, device, vendor, architecture }: GPUAdapterInfo,
): boolean {
  if (choice === COMPATIBILITY) return featureLevel === COMPATIBILITY;
  return choice === 'auto' || matches(choice, [description, device, vendor, architecture].join(' '));
}

function factsOf(info: GPUAdapterInfo, search: readonly string[]): AdapterFacts {
  const name = nameOf(info);
  const { vendor, architecture, description } = info;
  return { name, vendor, architecture, driver: description, kind: kindOf(info), search };
}

/** A browser may leave every field empty, for privacy or for want of knowledge. */
export function kindOf(info: GPUAdapterInfo): AdapterKind {
  const { description, device, vendor, architecture } = info;
  const fields = [description, device, vendor, architecture];
  if (info.isFallbackAdapter || isSoftwareName(fields.join(' '))) return 'software';
  return saysNothing(...fields) ? 'unknown' : 'gpu';
}

/** Kernels pass buffers by pointer. */
const NEEDED = 'unrestricted_pointer_parameters';

async function openAdapter(choice: AdapterChoice): Promise<OpenAdapter> {
  // The types promise it, but only a secure page of a browser with WebGPU has it.
  const gpu = (navigator as Partial<Navigator>).gpu;
  if (gpu === undefined) {
    const reason = isSecureContext ? 'this browser has no WebGPU' : 'WebGPU needs a secure page';
    throw new ConfigError(`${reason}. Open the page over https or localhost in a current Chrome.`);
  }
  if (!gpu.wgslLanguageFeatures.has(NEEDED)) {
    throw new ConfigError(
      `the WGSL of this browser has no ${NEEDED}, which kernels are written with. Open the page in Chrome 123 or newer.`,
    );
  }
  const search: string[] = [];
  const seen = new Set<string>();
  for (const request of REQUESTS) {
    const asked = JSON.stringify(request);
    const adapter = await gpu.requestAdapter(request);
    if (adapter === null) {
      search.push(`The browser gives no adapter for ${asked}.`);
      continue;
    }
    const name = nameOf(adapter.info);
    seen.add(name);
    search.push(`The browser gives ${name} for ${asked}.`);
    hadAdapter = true;
    if (!fits(choice, request, adapter.info)) continue;
    const again = async (): Promise<GPUAdapter> => {
      const fresh = await gpu.requestAdapter(request);
      if (fresh === null) throw new ConfigError(CRASHED);
      return fresh;
    };
    return { gpu, facts: factsOf(adapter.info, search), adapter: again };
  }
  if (seen.size === 0 && hadAdapter) throw new ConfigError(CRASHED);
  throw new ConfigError(
    seen.size === 0
      ? 'the browser has no adapter. If it had one before, its GPU process has crashed: reload the page. Else look at chrome://gpu; "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader" gives one on any machine.'
      : `no adapter opens for "${choice}". There is: ${[...seen].join('; ')}. Choose a part of one of these names, or "auto".`,
  );
}

function shaderSource(path: string): string {
  const source = shaders.get(path);
  if (source !== undefined) return source;
  throw new ConfigError(
    `there is no shader "${path}". There is: ${[...shaders.keys()].join(', ') || 'none'}.`,
  );
}

async function answerOf(url: URL, headers: Record<string, string> = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers });
  } catch (error) {
    throw new ConfigError(`cannot fetch ${url.href}: ${messageOf(error)}. Is the server running?`);
  }
  if (!response.ok) {
    const Kind = response.status === 404 ? AbsentFileError : ConfigError;
    throw new Kind(`cannot fetch ${url.href}: the server answers ${response.status}. Check the path.`);
  }
  // Servers of pages with routes of their own answer their page for whatever they lack.
  if (/^text\/html\b/.test(response.headers.get('content-type') ?? '') && !/\.html?$/.test(url.pathname)) {
    throw new AbsentFileError(`cannot fetch ${url.href}: the server answers a page of HTML. Check the path.`);
  }
  return response;
}

async function fetchBytes(url: URL): Promise<Uint8Array> {
  return new Uint8Array(await (await answerOf(url)).arrayBuffer());
}

/** Parts by Range requests; of a server that answers none, and of an empty file, the whole is kept. */
async function openUrl(url: URL): Promise<ByteFile> {
  const close = (): Promise<void> => Promise.resolve();
  const first = await answerOf(url, { range: 'bytes=0-0' });
  const size = Number(/\/(\d+)$/.exec(first.headers.get('content-range') ?? '')?.[1]);
  if (first.status !== 206 || !Number.isSafeInteger(size)) {
    const whole = new Uint8Array(await first.arrayBuffer());
    const read = (begin: number, end: number) => Promise.resolve(whole.subarray(begin, end));
    return { size: whole.length, read, whole, close };
  }
  await first.arrayBuffer();
  return {
    size,
    read: async (begin, end) => {
      if (end <= begin) return new Uint8Array();
      const part = await answerOf(url, { range: `bytes=${begin}-${end - 1}` });
      return new Uint8Array(await part.arrayBuffer());
    },
    close,
  };
}

/** A file that somebody chose in the page: parts of it are read, of any size. */
export function blobFile(blob: Blob): ByteFile {
  return {
    size: blob.size,
    read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer()),
    close: () => Promise.resolve(),
  };
}

/** Of the page, or of the worker's script: a worker has no document. */
function addressHere(): string {
  const { document } = globalThis as { readonly document?: Document };
  return document?.baseURI ?? globalThis.location.href;
}

/** browserOf('Mozilla/5.0 ... HeadlessChrome/147.0.0.0 Safari/537.36') = 'HeadlessChrome/147.0.0.0'. */
function browserOf(userAgent: string): string {
  return /\b(?:Headless)?(?:Chrome|Edg|Firefox|Version)\/[\d.]+/.exec(userAgent)?.[0] ?? userAgent;
}

/** The platform of a page: the browser's adapters, shaders bundled with the page, files by `fetch`. */
export function webPlatform(options: WebOptions = {}): Platform {
  const base = new URL(options.baseUrl ?? '.', addressHere());
  return {
    name: 'browser',
    openAdapter,
    shaderSource,
    shaderPaths: () => [...shaders.keys()].sort(),
    readFile: (path) => fetchBytes(new URL(path, base)),
    versions: () => ({ browser: browserOf(navigator.userAgent) }),
    openFile: (path) => openUrl(new URL(path, base)),
    now: () => performance.now() * NS_PER_MS,
  };
}
