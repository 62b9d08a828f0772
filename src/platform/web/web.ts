/** The platform in a page: the browser's adapter, shaders that came with the page, files by `fetch`. */
import { AbsentFileError, ConfigError, messageOf } from '../../core/errors.ts';
import { NS_PER_MS } from '../../core/units.ts';
import { isSoftwareName, matches, saysNothing } from '../choice.ts';
import type { AdapterChoice, AdapterFacts, AdapterKind, OpenAdapter, Platform } from '../platform.ts';
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
];

/** Browsers leave most of these empty. */
function nameOf({ description, device, vendor, architecture }: GPUAdapterInfo): string {
  return description || device || `${vendor} ${architecture}`.trim() || 'unnamed adapter';
}

function fits(choice: AdapterChoice, { description, device, vendor, architecture }: GPUAdapterInfo): boolean {
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
    if (!fits(choice, adapter.info)) continue;
    const again = async (): Promise<GPUAdapter> => {
      const fresh = await gpu.requestAdapter(request);
      if (fresh === null) throw new ConfigError(`${name} gives no adapter any more. Reload the page.`);
      return fresh;
    };
    return { gpu, facts: factsOf(adapter.info, search), adapter: again };
  }
  throw new ConfigError(
    seen.size === 0
      ? 'the browser has no adapter. Look at chrome://gpu; "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader" gives one on any machine.'
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

async function fetchBytes(url: URL): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new ConfigError(`cannot fetch ${url.href}: ${messageOf(error)}. Is the server running?`);
  }
  if (!response.ok) {
    const Kind = response.status === 404 ? AbsentFileError : ConfigError;
    throw new Kind(`cannot fetch ${url.href}: the server answers ${response.status}. Check the path.`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** Of the page, or of the worker's script: a worker has no document. */
function addressHere(): string {
  const { document } = globalThis as { readonly document?: Document };
  return document?.baseURI ?? globalThis.location.href;
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
    now: () => performance.now() * NS_PER_MS,
  };
}
