/** The model that a command runs: a checkpoint in a folder, the bundled tiny-moe when none is named. */
import { basename, resolve } from 'node:path';
import { stat } from 'node:fs/promises';
import { Option } from 'commander';
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { formatBytes } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { layoutFor } from '../layout/default-layout.ts';
import { CARD_LAYOUT, type LayoutSpec } from '../layout/spec.ts';
import { CACHE_DTYPES, type CacheDtype } from '../memory/rank-sizes.ts';
import {
  openCheckpoint,
  type Checkpoint,
  type OpenCheckpoint,
  type OpenOptions,
} from '../model/checkpoint.ts';
import type { MoeConfig } from '../model/config.ts';
import { readHfConfig } from '../model/hf-config.ts';
import { MOST_JSON_BYTES } from '../model/safetensors/strict-json.ts';
import { syntheticWeights } from '../model/synthetic.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../tensor/quantised.ts';
import { requireCheckpoint } from './files/checkpoint-folder.ts';
import { platformHere } from './session.ts';

/** Relative to the package, wherever it is installed. */
export const TINY_MOE = 'bench/models/tiny-moe';

/** @throws ConfigError when the folder holds no checkpoint that can be run. */
export async function loadModel(folder: string, options: OpenOptions = {}): Promise<OpenCheckpoint> {
  if (folder !== TINY_MOE) {
    await requireFolder(folder);
    await requireCheckpoint(folder, 'weights');
  }
  return openCheckpoint(folder === TINY_MOE ? folder : resolve(folder), platformHere(), options);
}

/** @throws ConfigError for what is no folder. */
async function requireFolder(folder: string): Promise<void> {
  const found = await stat(resolve(folder)).catch(() => undefined);
  if (found === undefined) {
    const fetched = /^[\w.-]+\/[\w.-]+$/.test(folder)
      ? ` If that is a name in the hub, fetch it first: hf download ${folder} --local-dir <folder>.`
      : ' Name the one that config.json and the weights are in.';
    throw new ConfigError(`there is no model folder ${folder}.${fetched}`);
  }
  if (!found.isDirectory()) {
    const gguf = /\.gguf$/i.test(folder) ? ' GGUF files are not read.' : '';
    throw new ConfigError(
      `${folder} is a file; name the folder that has config.json and model.safetensors.${gguf}`,
    );
  }
}

/**
 * A checkpoint's folder, or a config.json alone, whose model has random weights then: times and memory are those of its
 * shape. @throws ConfigError as `loadModel`.
 */
export async function loadModelOrShape(path: string): Promise<Checkpoint & Pick<OpenCheckpoint, 'close'>> {
  if (!path.endsWith('.json')) return loadModel(path);
  const weights = syntheticWeights(await readShape(path), SHAPE_SEED);
  return { ...weights, tokenizer: undefined, endIds: [], close: () => Promise.resolve() };
}

const SHAPE_SEED = 1;

/** The shape of the model of a folder or of a config.json. @throws ConfigError for a file that is none. */
export async function readShape(given: string): Promise<MoeConfig> {
  const alone = given.endsWith('.json');
  if (!alone) await requireCheckpoint(given, 'config');
  const path = alone ? given : `${given.replace(/[/\\]+$/, '')}/config.json`;
  const name = at(path.split(/[/\\]/).slice(-2), 0) || path;
  return readHfConfig(await platformHere().readFile(path, MOST_JSON_BYTES), name, path);
}

/** What is free for a device's buffers: an adapter on the CPU takes them from the machine's memory, a GPU does not tell. */
export function freeBytes({ facts, platform }: Gpu): number | undefined {
  return facts.kind === 'gpu' || facts.kind === 'unknown' ? undefined : platform.freeMemory?.();
}

/** Of the bundled model the reference deployment's, of another one that suits it. */
export function layoutOf(model: string | undefined, config: MoeConfig): LayoutSpec {
  return isBundled(model) ? CARD_LAYOUT : layoutFor(config);
}

export function isBundled(model: string | undefined): boolean {
  return model === undefined || model === TINY_MOE;
}

/** The remedy where a folder has one of another form, such as tokenizer.model. */
export const WRITES_TOKENIZER =
  'transformers writes it, AutoTokenizer.from_pretrained(folder).save_pretrained(folder)';

/** @throws ConfigError when the model comes without a vocabulary. */
export function tokenizerOf(model: Checkpoint): Tokenizer {
  if (model.tokenizer === undefined) {
    throw new ConfigError(
      `${basename(model.origin)} has neither tokenizer.json nor vocab.json, so text cannot become tokens. Put its tokenizer beside the weights; ${WRITES_TOKENIZER}.`,
    );
  }
  return model.tokenizer;
}

/** How often what is read is told. A guess. */
const TOLD_MS = 100;

/** What has been read of a model's files, and how fast: its clock runs from the first bytes to the last. */
export class Reading {
  #bytes = 0;
  #began = 0;
  #ended = 0;
  /** Read when the clock began. */
  #before = 0;

  #tell: (() => void) | undefined;
  #told = 0;

  /** To be told of bytes that were read. */
  readonly add = (count: number): void => {
    this.#ended = performance.now();
    if (this.#bytes === 0) [this.#began, this.#before] = [this.#ended, count];
    this.#bytes += count;
    if (this.#ended - this.#told < TOLD_MS) return;
    this.#told = this.#ended;
    this.#tell?.();
  };

  /** Whoever is at work says what at; what has been read is told beside it, and anew while more is read. */
  beside(say: (text: string) => void): (what: string) => void {
    return (what) => {
      this.#tell = () => say(`${what}: ${this.text()}`);
      this.#tell();
    };
  }

  /** '1.2 GiB read, 400 MiB/s'. */
  readonly text = (): string => {
    const seconds = (this.#ended - this.#began) / 1e3;
    const rate = seconds > 0 ? `, ${formatBytes((this.#bytes - this.#before) / seconds)}/s` : '';
    return `${formatBytes(this.#bytes)} read${rate}`;
  };
}

/** `stored`: as in the model's files. */
const STORED_OR: readonly (WeightDtype | 'stored')[] = ['stored', ...WEIGHT_DTYPES];

/** @throws ConfigError */
export function requireWeights(weights: WeightDtype | 'stored'): void {
  if (STORED_OR.includes(weights)) return;
  throw new ConfigError(`weights (${String(weights)}) must be one of ${STORED_OR.join(', ')}.`);
}

/** @throws ConfigError */
export function requireCache(cache: CacheDtype): void {
  if (CACHE_DTYPES.includes(cache)) return;
  throw new ConfigError(`cache (${String(cache)}) must be one of ${CACHE_DTYPES.join(', ')}.`);
}

export function weightsOption(): Option {
  const description = "how matrices are stored (default: as in the model's files)";
  return new Option('--weights <dtype>', description).choices(STORED_OR);
}

export function cacheOption(): Option {
  return new Option('--cache <dtype>', 'how keys and values are stored').choices(CACHE_DTYPES).default('f32');
}
