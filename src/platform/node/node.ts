/** The platform in Node: Dawn's bindings, the file system, the monotonic clock. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AbsentFileError, codeOf, ConfigError, messageOf } from '../../core/errors.ts';
import type { ByteFile, KernelKind, Platform } from '../platform.ts';
import { openAdapter } from './adapters.ts';
import { deviceClosed } from './collect.ts';
import { cpuTimes } from './cpu-times.ts';
import { restWhile } from './polling.ts';
import { openParts, readWhole, Unreadable } from './read-file.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SHADERS = join(ROOT, 'shaders');

function shaderPaths(): readonly string[] {
  if (!existsSync(SHADERS)) return [];
  return readdirSync(SHADERS, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.wgsl'))
    .map((entry) => relative(SHADERS, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('lib/'))
    .sort();
}

function shaderSource(path: string): string {
  const file = join(SHADERS, path);
  try {
    if (!relative(SHADERS, file).startsWith('..')) return readFileSync(file, 'utf8');
  } catch {
    // Reported below, with what there is.
  }
  throw new ConfigError(`there is no shader "${path}". There is: ${shaderPaths().join(', ') || 'none'}.`);
}

/** Remedies by the system's error code. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  ENOTDIR: 'a part of its path is a file, not a folder',
  ENAMETOOLONG: 'its name is too long',
  ELOOP: 'it is a link to itself',
  ERR_INVALID_ARG_VALUE: 'its name holds a zero byte',
};

function readBytes(path: string, mostBytes?: number): Promise<Uint8Array> {
  return atItsPlace(path, (place) => readWhole(place, mostBytes));
}

function openFile(path: string): Promise<ByteFile> {
  return atItsPlace(path, openParts);
}

/** A relative path counts from the working folder, then from the package, where the bundled model lies. */
async function atItsPlace<T>(path: string, take: (place: string) => Promise<T>): Promise<T> {
  const places = isAbsolute(path) ? [path] : [resolve(path), join(ROOT, path)];
  let problem: unknown;
  for (const place of places) {
    try {
      return await take(place);
    } catch (error) {
      if (problem === undefined || codeOf(problem) === 'ENOENT') problem = error;
    }
  }
  if (problem instanceof Unreadable) throw new ConfigError(`cannot read ${path}: ${problem.message}.`);
  const reason = REASONS[codeOf(problem)] ?? messageOf(problem);
  const Kind = codeOf(problem) === 'ENOENT' ? AbsentFileError : ConfigError;
  throw new Kind(`cannot read ${path}: ${reason}. Looked at ${places.join(' and ')}.`);
}

/** MOEBIUS_KIND: a CPU adapter runs what a GPU would, and the other way round. @throws ConfigError for another word. */
function kernelKind(): KernelKind | undefined {
  const asked = process.env.MOEBIUS_KIND;
  if (asked === undefined || asked === '') return undefined;
  if (asked === 'gpu' || asked === 'software') return asked;
  throw new ConfigError(`MOEBIUS_KIND is "${asked}"; it is "gpu", "software" or not set.`);
}

/** What this process may still take, by its control group where there is one. */
function freeMemory(): number {
  const { availableMemory } = process as { readonly availableMemory?: () => number };
  return availableMemory?.() ?? freemem();
}

/** The platform of Node: adapters of Dawn's bindings, the package's shaders, files on disk, the monotonic clock. */
export function nodePlatform(): Platform {
  const start = process.hrtime.bigint();
  return {
    name: 'node',
    get kernelKind() {
      return kernelKind();
    },
    openAdapter,
    shaderSource,
    shaderPaths,
    readFile: readBytes,
    openFile,
    whileWaiting: restWhile,
    deviceClosed,
    now: () => Number(process.hrtime.bigint() - start),
    freeMemory,
    cpuTimes,
  };
}
