/**
 * A model on disk: `config.json`, `model.safetensors` (whole or in shards) and, where there is one, `vocab.json` or
 * `tokenizer.json`.
 */
import { requireFields, requireGiven } from '../core/given.ts';
import type { Platform } from '../platform/platform.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { WeightSource } from './config.ts';
import { readModelConfig, type ReadModel } from './families/table.ts';
import { checkTensors } from './files/check-tensors.ts';
import { FileWeights } from './files/file-weights.ts';
import { type LayerRun, withLayers } from './files/layers.ts';
import { type Folder, memoryFile, openTensors, type StoredTensor } from './files/tensor-files.ts';
import { MOST_JSON_BYTES } from './safetensors/strict-json.ts';
import type { Tokenizer } from './text/tokenizer.ts';
import { readEndIds, readTokenizer } from './text/read-tokenizer.ts';

type ReadFile = Platform['readFile'];

/** The weights of a checkpoint's folder, with its tokenizer. */
export interface Checkpoint extends WeightSource {
  /** Undefined when the folder has neither `vocab.json` nor `tokenizer.json`. */
  readonly tokenizer: Tokenizer | undefined;
  /** Tokens that end a text. */
  readonly endIds: readonly number[];
}

/** A checkpoint whose tensors are read when they are asked for. */
export interface OpenCheckpoint extends Checkpoint {
  load(names: readonly string[]): Promise<void>;
  readonly model: ReadModel;
  /** Bytes of the files' tensors, all of them. */
  readonly fileBytes: number;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Only these layers of the model, which then count from 0. */
  readonly layers?: LayerRun | undefined;
  /** Told of bytes that were read from the files of weights. */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

/**
 * Reads a checkpoint whole and checks the shape of every tensor.
 * @param folder of the checkpoint; its last part names the model.
 * @throws ConfigError for a missing or malformed file, an unsupported setting, a tensor that is missing, unknown, of
 * the wrong shape or not of floats.
 */
export async function loadCheckpoint(folder: string, readFile: ReadFile): Promise<Checkpoint> {
  requireGiven('The folder', folder, 'string');
  requireGiven('readFile', readFile, 'function');
  return open(folder, readFile, async (path) => memoryFile(await readFile(path)), {});
}

/**
 * Opens a checkpoint of any size: headers are read and every shape is checked, tensors when they are loaded.
 * @throws ConfigError as `loadCheckpoint`.
 */
export async function openCheckpoint(
  folder: string,
  platform: Pick<Platform, 'readFile' | 'openFile'>,
  options: OpenOptions = {},
): Promise<OpenCheckpoint> {
  requireGiven('The folder', folder, 'string');
  requireFields('The platform', platform, { readFile: 'function' });
  requireGiven('The options', options, 'record');
  const { openFile } = platform;
  const openPart: Folder['open'] =
    openFile === undefined
      ? async (path) => memoryFile(await platform.readFile(path))
      : (path) => openFile.call(platform, path);
  return open(folder, (path, most) => platform.readFile(path, most), openPart, options);
}

async function open(
  given: string,
  readFile: ReadFile,
  openFile: Folder['open'],
  { layers, onRead }: OpenOptions,
): Promise<OpenCheckpoint> {
  const base = given.replace(/[/\\]+$/, '');
  const folder: Folder = { path: (file) => `${base}/${file}`, readFile, open: openFile };
  const name = base.split(/[/\\]/).at(-1) ?? given;
  const configPath = folder.path('config.json');
  const bytes = await readFile(configPath, MOST_JSON_BYTES);
  const model = readModelConfig(bytes, name, configPath);
  const { config, firstLayer } = withLayers(model.config, layers);
  const tensors = await openTensors(folder);
  const close = async (): Promise<void> => {
    const files = new Set([...tensors.values()].map(({ file }) => file));
    await Promise.all([...files].map((file) => file.close()));
  };
  try {
    checkTensors(tensors, model, base);
    const tokenizer = await readTokenizer(folder, config.vocabSize);
    const endIds = await readEndIds(folder, config.vocabSize);
    const weights = new FileWeights({ model, tensors, origin: given, config, firstLayer, onRead });
    const get = (tensor: string): Tensor => weights.get(tensor);
    const load = (names: readonly string[]): Promise<void> => weights.load(names);
    const opened: OpenCheckpoint = {
      ...{ config, origin: given, tokenizer, endIds, model, fileBytes: bytesOf(tensors), close },
      ...{ get, load },
      packed: (tensor) => weights.packed(tensor),
      storedAs: (tensor) => weights.storedAs(tensor),
      // Not of a copy of this object that gives other numbers.
      inFile(tensor) {
        return this.get === get && this.load === load ? weights.inFile(tensor) : undefined;
      },
    };
    return opened;
  } catch (error) {
    await close();
    throw error;
  }
}

function bytesOf(tensors: ReadonlyMap<string, StoredTensor>): number {
  let bytes = 0;
  for (const { begin, end } of tensors.values()) bytes += end - begin;
  return bytes;
}
