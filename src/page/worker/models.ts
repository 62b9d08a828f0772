/** The model that a job runs: the bundled one, fetched with its progress told, or a folder that was dropped. */
import { readKnownAnswers, type KnownAnswers } from '../../bench/model/known-answers.ts';
import { AbsentFileError, ConfigError, messageOf } from '../../core/errors.ts';
import { formatBytes } from '../../core/units.ts';
import {
  type Checkpoint,
  loadCheckpoint,
  openCheckpoint,
  type OpenCheckpoint,
  type OpenOptions,
} from '../../model/checkpoint.ts';
import type { Platform } from '../../platform/platform.ts';
import { blobFile } from '../../platform/web/web.ts';
import type { JobOf } from '../protocol/jobs.ts';

const TINY_MOE = 'models/tiny-moe';

/** Of a file that is read whole. A guess. */
const MOST_DROPPED = 2 ** 28;

type ReadFile = Platform['readFile'];
type Say = (text: string) => void;

/** Files of the page's own server. @throws ConfigError for what it does not send whole. */
export function fetchFrom(base: string, say: Say): ReadFile {
  return async (path, mostBytes = Infinity) => {
    const url = new URL(path, base);
    const response = await fetch(url).catch((error: unknown): never => {
      throw new ConfigError(`cannot fetch ${path}: ${messageOf(error)}. Is the server running?`);
    });
    if (!response.ok || response.body === null) {
      const Kind = response.status === 404 ? AbsentFileError : ConfigError;
      throw new Kind(
        `cannot fetch ${path}: the server answers ${response.status}. Serve the page with moebius serve.`,
      );
    }
    const total = Number(response.headers.get('content-length') ?? 0);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    const stopped = (why: string): never => {
      const of = total > 0 ? ` of ${formatBytes(total)}` : '';
      throw new ConfigError(`${path} stopped after ${formatBytes(bytes)}${of}: ${why}. Start again.`);
    };
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => stopped(messageOf(error)));
      if (done) break;
      pieces.push(value);
      bytes += value.byteLength;
      if (bytes > mostBytes) {
        throw new ConfigError(`${path} is longer than ${formatBytes(mostBytes)}, which it may have at most.`);
      }
      if (total > 2 ** 20) say(`${path}: ${formatBytes(bytes)} of ${formatBytes(total)}`);
    }
    if (bytes < total) return stopped('the connection ended');
    return joined(pieces, bytes);
  };
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/** Files by their place in the folder that was dropped, its own name left out. Of weights only parts are read. */
function filesOf(model: JobOf<'generate'>['model']): Pick<Platform, 'readFile' | 'openFile'> {
  const byPath = new Map(model.map(({ path, file }) => [path, file]));
  const fileAt = (path: string): Blob => {
    const file = byPath.get(path.split('/').slice(1).join('/'));
    if (file !== undefined) return file;
    throw new AbsentFileError(`there is no ${path} in what was dropped. Drop the folder of a checkpoint.`);
  };
  return {
    readFile: async (path, mostBytes = MOST_DROPPED) => {
      const file = fileAt(path);
      if (file.size > mostBytes) {
        throw new ConfigError(
          `${path} has ${formatBytes(file.size)}; at most ${formatBytes(mostBytes)} of it are read. Give a smaller one.`,
        );
      }
      return new Uint8Array(await file.arrayBuffer());
    },
    // eslint-disable-next-line @typescript-eslint/require-await -- what is absent rejects
    openFile: async (path) => blobFile(fileAt(path)),
  };
}

export interface BundledModel {
  readonly model: Checkpoint;
  readonly answers: KnownAnswers;
  /** Of its safetensors file. */
  readonly checkpoint: Uint8Array;
}

/** tiny-moe with what it is known to answer. */
export async function bundledModel(base: string, say: Say): Promise<BundledModel> {
  const fetched = new Map<string, Promise<Uint8Array>>();
  const fetchFile = fetchFrom(base, say);
  const readFile: ReadFile = (path, most) => {
    const there = fetched.get(path) ?? fetchFile(path, most);
    fetched.set(path, there);
    return there;
  };
  const model = await loadCheckpoint(TINY_MOE, readFile);
  const answers = await readKnownAnswers(TINY_MOE, readFile);
  return { model, answers, checkpoint: await readFile(`${TINY_MOE}/model.safetensors`) };
}

/** tiny-moe, fetched whole. */
export const tinyMoe = (base: string, say: Say): Promise<Checkpoint> =>
  loadCheckpoint(TINY_MOE, fetchFrom(base, say));

/** A model whose folder was dropped: its weights are read when they are asked for. */
export const droppedModel = (
  dropped: JobOf<'generate'>['model'],
  options: OpenOptions,
): Promise<OpenCheckpoint> => openCheckpoint('dropped', filesOf(dropped), options);
