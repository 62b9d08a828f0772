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
import { platformHere } from './session.ts';

/** Relative to the package, wherever it is installed. */
export const TINY_MOE = 'bench/models/tiny-moe';

/** @throws ConfigError when the folder holds no checkpoint that can be run. */
export async function loadModel(folder: string, options: OpenOptions = {}): Promise<OpenCheckpoint> {
  if (folder !== TINY_MOE) {
    const found = await stat(resolve(folder)).catch(() => undefined);
    if (found === undefined) throw new ConfigError(`there is no model folder ${folder}.`);
    if (!found.isDirectory()) {
      throw new ConfigError(
        `${folder} is a file; name the folder that has config.json and model.safetensors.`,
      );
    }
  }
  return openCheckpoint(folder === TINY_MOE ? folder : resolve(folder), platformHere(), options);
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
  const path = given.endsWith('.json') ? given : `${given.replace(/[/\\]+$/, '')}/config.json`;
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

/** @throws ConfigError when the model comes without a vocabulary. */
export function tokenizerOf(model: Checkpoint): Tokenizer {
  if (model.tokenizer === undefined) {
    throw new ConfigError(
      `${basename(model.origin)} has neither tokenizer.json nor vocab.json, so text cannot become tokens. Put its tokenizer beside the weights.`,
    );
  }
  return model.tokenizer;
}

/** '1.2 GiB read, 400 MiB/s', of what has been read since it was made. */
export function reading(bytes: () => number): () => string {
  const began = performance.now();
  return () => {
    const seconds = (performance.now() - began) / 1e3;
    return `${formatBytes(bytes())} read, ${formatBytes(bytes() / Math.max(seconds, 1e-3))}/s`;
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
