/** A checkpoint with all that a bench and a check need of it. */
import { requireGiven } from '../../core/given.ts';
import { loadCheckpoint, type Checkpoint } from '../../model/checkpoint.ts';
import type { Platform } from '../../platform/platform.ts';
import { readKnownAnswers, type KnownAnswers } from './known-answers.ts';

/** A model, what it is known to answer, and the bytes of its file, which tasks of the host are timed on. */
export interface BenchModel {
  readonly model: Checkpoint;
  readonly answers: KnownAnswers;
  readonly checkpoint: Uint8Array;
}

/**
 * The model of a folder that also has the answers it is known to give, as the package's `bench/models/tiny-moe`.
 * @throws ConfigError when the folder has no such files, or they hold something else.
 */
export async function loadBenchModel(folder: string, readFile: Platform['readFile']): Promise<BenchModel> {
  requireGiven('The folder', folder, 'string');
  requireGiven('readFile', readFile, 'function');
  return {
    model: await loadCheckpoint(folder, readFile),
    answers: await readKnownAnswers(folder, readFile),
    checkpoint: await readFile(`${folder}/model.safetensors`),
  };
}
