/** The tensors of one or several safetensors files, by name: headers are read, the data stays where it is. */
import * as v from 'valibot';
import { ConfigError, isAbsent, messageOf } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { ByteFile } from '../../platform/platform.ts';
import { parseFields } from '../fields.ts';
import { FIRST_READ, headerEnd, type HeaderEntry, readHeader, refusePointer } from '../safetensors/header.ts';
import { MOST_JSON_BYTES, parseStrictJson } from '../safetensors/strict-json.ts';

/** A tensor of a file. */
export interface StoredTensor extends HeaderEntry {
  readonly file: ByteFile;
}

/** The files of a folder, as far as a checkpoint needs them. */
export interface Folder {
  /** Path of a file of the folder. */
  path(file: string): string;
  readFile(path: string, mostBytes?: number): Promise<Uint8Array>;
  /** @throws AbsentFileError when there is no such file. */
  open(path: string): Promise<ByteFile>;
}

const INDEX_FORM = 'It must be {"weight_map": {tensor: file}}.';
const IndexFile = v.object({ weight_map: v.record(v.string(), v.string()) });

/** A file that lies in memory. */
export function memoryFile(bytes: Uint8Array): ByteFile {
  return {
    size: bytes.length,
    read: (begin, end) => Promise.resolve(bytes.subarray(begin, end)),
    whole: bytes,
    close: () => Promise.resolve(),
  };
}

/** @throws ConfigError for a missing or malformed file, and an index and shards that do not fit each other. */
export async function openTensors(folder: Folder): Promise<Map<string, StoredTensor>> {
  const whole = folder.path('model.safetensors');
  const index = folder.path('model.safetensors.index.json');
  const opened: ByteFile[] = [];
  const open = async (path: string): Promise<ByteFile> => {
    const file = await folder.open(path);
    opened.push(file);
    return file;
  };
  try {
    let file: ByteFile;
    try {
      file = await open(whole);
    } catch (error) {
      const indexBytes = await folder.readFile(index, MOST_JSON_BYTES).catch(() => undefined);
      if (indexBytes !== undefined) return await openShards(indexBytes, index, folder, open);
      throw new ConfigError(
        `Neither ${whole} nor ${index} can be read (${messageOf(error)}). Put the weights of the model there.`,
      );
    }
    return new Map((await entriesOf(file, whole)).map((entry) => [entry.name, entry]));
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

async function openShards(
  indexBytes: Uint8Array,
  label: string,
  folder: Folder,
  open: (path: string) => Promise<ByteFile>,
): Promise<Map<string, StoredTensor>> {
  refusePointer(indexBytes, label);
  const { weight_map: places } = parseFields(
    IndexFile,
    parseStrictJson(indexBytes, label),
    label,
    INDEX_FORM,
  );
  const tensors = new Map<string, StoredTensor>();
  for (const shard of [...new Set(Object.values(places))].sort()) {
    if (!/^[\w.-]+\.safetensors$/.test(shard)) {
      throw new ConfigError(
        `${label} names the shard ${quoted(shard)}; it must be a *.safetensors file of the same folder.`,
      );
    }
    const file = await open(folder.path(shard)).catch((error: unknown): never => {
      if (!isAbsent(error)) throw error;
      throw new ConfigError(`${label} names the shard ${shard}, which is not there. Fetch it, or all again.`);
    });
    for (const entry of await entriesOf(file, folder.path(shard))) {
      if (places[entry.name] !== shard) {
        throw new ConfigError(
          `${folder.path(shard)} holds tensor ${quoted(entry.name)}, which ${label} does not place there. ` +
            'Fetch index and shards of one version.',
        );
      }
      tensors.set(entry.name, entry);
    }
  }
  const absent = Object.keys(places).find((name) => !tensors.has(name));
  if (absent !== undefined) {
    throw new ConfigError(
      `${label} places tensor ${quoted(absent)} in ${quoted(places[absent])}, which does not hold it. ` +
        'Fetch index and shards of one version.',
    );
  }
  return tensors;
}

async function entriesOf(file: ByteFile, label: string): Promise<StoredTensor[]> {
  let head = file.whole ?? (await file.read(0, Math.min(FIRST_READ, file.size)));
  const end = Math.min(headerEnd(head), file.size);
  if (end > head.length) head = await file.read(0, end);
  return readHeader(head, label, file.size).map((entry) => ({ ...entry, file }));
}
