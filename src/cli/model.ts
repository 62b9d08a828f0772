/** The model that a command runs: a checkpoint in a folder, the bundled tiny-moe when none is named. */
import { basename, resolve } from 'node:path';
import { stat } from 'node:fs/promises';
import { ConfigError } from '../core/errors.ts';
import { loadCheckpoint, type Checkpoint } from '../model/checkpoint.ts';
import type { CharTokenizer } from '../model/tokenizer.ts';
import { platformHere } from './session.ts';

/** Relative to the package, wherever it is installed. */
export const TINY_MOE = 'bench/models/tiny-moe';

/** @throws ConfigError when the folder holds no checkpoint that can be run. */
export async function loadModel(folder: string): Promise<Checkpoint> {
  if (folder !== TINY_MOE) {
    const found = await stat(resolve(folder)).catch(() => undefined);
    if (found === undefined) throw new ConfigError(`there is no model folder ${folder}.`);
    if (!found.isDirectory()) {
      throw new ConfigError(
        `${folder} is a file; name the folder that has config.json and model.safetensors.`,
      );
    }
  }
  return loadCheckpoint(folder === TINY_MOE ? folder : resolve(folder), (path, mostBytes) =>
    platformHere().readFile(path, mostBytes),
  );
}

/** @throws ConfigError when the model comes without a vocabulary. */
export function tokenizerOf(model: Checkpoint): CharTokenizer {
  if (model.tokenizer === undefined) {
    throw new ConfigError(
      `${basename(model.origin)} has no vocab.json, so text cannot become tokens. Put its vocabulary beside the weights.`,
    );
  }
  return model.tokenizer;
}
