/** The model that a command runs: a checkpoint in a folder, the bundled tiny-moe when none is named. */
import { basename, resolve } from 'node:path';
import { stat } from 'node:fs/promises';
import { ConfigError } from '../core/errors.ts';
import {
  openCheckpoint,
  type Checkpoint,
  type OpenCheckpoint,
  type OpenOptions,
} from '../model/checkpoint.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
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

/** @throws ConfigError when the model comes without a vocabulary. */
export function tokenizerOf(model: Checkpoint): Tokenizer {
  if (model.tokenizer === undefined) {
    throw new ConfigError(
      `${basename(model.origin)} has neither tokenizer.json nor vocab.json, so text cannot become tokens. Put its tokenizer beside the weights.`,
    );
  }
  return model.tokenizer;
}
