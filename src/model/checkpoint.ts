/** A model on disk: `config.json`, `model.safetensors` (whole or in shards) and, where there is one, `vocab.json`. */
import * as v from 'valibot';
import { AbsentFileError, ConfigError, messageOf } from '../core/errors.ts';
import { requireGiven } from '../core/given.ts';
import { quoted, shapeText } from '../core/quoted.ts';
import type { Platform } from '../platform/platform.ts';
import type { Dtype, Tensor } from '../tensor/tensor.ts';
import type { MoeConfig, WeightSource } from './config.ts';
import { parseFields } from './fields.ts';
import { readHfConfig } from './hf-config.ts';
import { readSafetensors } from './safetensors/safetensors.ts';
import { MOST_JSON_BYTES, parseStrictJson } from './safetensors/strict-json.ts';
import { readCharVocab, type CharTokenizer } from './tokenizer.ts';
import { numWeights, weightShape, weightShapes } from './weight-shapes.ts';

type ReadFile = Platform['readFile'];

/** The weights of a checkpoint's folder, with its tokenizer. */
export interface Checkpoint extends WeightSource {
  /** Undefined when the folder has no `vocab.json`. */
  readonly tokenizer: CharTokenizer | undefined;
}

/** Tensors of older exports that hold nothing but constants of the architecture. */
const HARMLESS = /\.rotary_emb\.inv_freq$/;

const FLOATS: ReadonlySet<Dtype> = new Set(['f32', 'f16', 'f64']);

/** Names that a message lists. */
const LISTED = 4;

const INDEX_FORM = 'It must be {"weight_map": {tensor: file}}.';

const IndexFile = v.object({ weight_map: v.record(v.string(), v.string()) });

/**
 * Reads a checkpoint and checks the shape of every tensor.
 * @param folder of the checkpoint; its last part names the model.
 * @throws ConfigError for a missing or malformed file, an unsupported setting, a tensor that is missing, unknown, of
 * the wrong shape or not of floats.
 */
export async function loadCheckpoint(folder: string, readFile: ReadFile): Promise<Checkpoint> {
  requireGiven('The folder', folder, 'string');
  requireGiven('readFile', readFile, 'function');
  const base = folder.replace(/[/\\]+$/, '');
  const path = (file: string): string => `${base}/${file}`;
  const name = base.split(/[/\\]/).at(-1) ?? folder;
  const config = readHfConfig(
    await readFile(path('config.json'), MOST_JSON_BYTES),
    name,
    path('config.json'),
  );
  const tensors = await readWeights(path, readFile);
  checkTensors(tensors, config, base);
  const vocab = await readFile(path('vocab.json'), MOST_JSON_BYTES).catch(ifAbsent);
  return {
    config,
    origin: folder,
    tokenizer: vocab && readCharVocab(vocab, path('vocab.json'), config.vocabSize),
    get(wanted) {
      const found = tensors.get(wanted);
      if (found === undefined) {
        throw new ConfigError(
          `Checkpoint ${base} has no tensor ${quoted(wanted)}. Layers are 0 to ${config.numLayers - 1}, ` +
            `experts 0 to ${config.numExperts - 1}.`,
        );
      }
      return found;
    },
  };
}

/** A file that is not there is no error; one that cannot be read is. */
function ifAbsent(error: unknown): undefined {
  if (!(error instanceof AbsentFileError)) throw error;
  return undefined;
}

async function readWeights(path: (file: string) => string, readFile: ReadFile): Promise<Map<string, Tensor>> {
  const whole = path('model.safetensors');
  const index = path('model.safetensors.index.json');
  let bytes: Uint8Array;
  try {
    bytes = await readFile(whole);
  } catch (error) {
    const indexBytes = await readFile(index, MOST_JSON_BYTES).catch(() => undefined);
    if (indexBytes !== undefined) return readShards(indexBytes, index, path, readFile);
    throw new ConfigError(
      `Neither ${whole} nor ${index} can be read (${messageOf(error)}). Put the weights of the model there.`,
    );
  }
  return readSafetensors(bytes, whole);
}

async function readShards(
  indexBytes: Uint8Array,
  label: string,
  path: (file: string) => string,
  readFile: ReadFile,
): Promise<Map<string, Tensor>> {
  const index = parseFields(IndexFile, parseStrictJson(indexBytes, label), label, INDEX_FORM);
  const map = Object.entries(index.weight_map);
  const tensors = new Map<string, Tensor>();
  for (const file of [...new Set(map.map(([, shard]) => shard))].sort()) {
    if (!/^[\w.-]+\.safetensors$/.test(file)) {
      throw new ConfigError(
        `${label} names the shard ${quoted(file)}; it must be a *.safetensors file of the same folder.`,
      );
    }
    for (const [name, tensor] of readSafetensors(await readFile(path(file)), path(file))) {
      if (index.weight_map[name] !== file) {
        throw new ConfigError(
          `${path(file)} holds tensor ${quoted(name)}, which ${label} does not place there. ` +
            'Fetch index and shards of one version.',
        );
      }
      tensors.set(name, tensor);
    }
  }
  return tensors;
}

function checkTensors(tensors: Map<string, Tensor>, config: MoeConfig, folder: string): void {
  const unknown = new Set<string>();
  const expected: [name: string, tensor: Tensor, shape: readonly number[]][] = [];
  for (const [name, found] of tensors) {
    const shape = weightShape(config, name);
    if (shape !== undefined) expected.push([name, found, shape]);
    else if (!HARMLESS.test(name)) unknown.add(name);
  }
  const numMissing = numWeights(config) - expected.length;
  if (numMissing > 0) {
    const missing = firstMissing(tensors, config).map(([name, shape]) => `${name} [${shape.join(', ')}]`);
    throw new ConfigError(
      `Checkpoint ${folder} lacks ${numMissing} of ${numWeights(config)} tensors: ${listed(missing, numMissing)}. ` +
        'Use Hugging Face Mixtral names and a config.json of the same model.',
    );
  }
  if (unknown.size > 0) {
    throw new ConfigError(
      `Checkpoint ${folder} has ${unknown.size} tensors that a Mixtral model does not use: ` +
        `${listed([...unknown].slice(0, LISTED).map(printable), unknown.size)}. ` +
        'Leaving them out would compute another model; use a checkpoint without them.',
    );
  }
  for (const [name, found, shape] of expected) {
    if (found.shape.join() !== shape.join()) {
      throw new ConfigError(
        `Tensor ${name} of ${folder} has shape ${shapeText(found.shape)}, but config.json asks for ` +
          `${shapeText(shape)}. Use the config.json of the same model.`,
      );
    }
    if (!FLOATS.has(found.dtype)) {
      throw new ConfigError(
        `Tensor ${name} of ${folder} holds integers (${found.dtype}). Store weights as floats.`,
      );
    }
  }
}

/** In the order of the model; a config may ask for more tensors than could ever be listed. */
function firstMissing(
  tensors: ReadonlyMap<string, Tensor>,
  config: MoeConfig,
): [name: string, shape: readonly number[]][] {
  const missing: [string, readonly number[]][] = [];
  for (const weight of weightShapes(config)) {
    if (!tensors.has(weight[0])) missing.push(weight);
    if (missing.length === LISTED) break;
  }
  return missing;
}

/** A name without its quotes, safe to show. */
function printable(name: string): string {
  return quoted(name).replace(/^"|"$/g, '');
}

/** The first few of a list, and how many more there are. */
function listed(first: readonly string[], count: number): string {
  const rest = count - first.length;
  return first.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
