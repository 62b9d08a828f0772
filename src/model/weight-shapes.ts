/** Which tensors a model has, and their shapes. */
import { ConfigError } from '../core/errors.ts';
import { range } from '../core/math.ts';
import { weightNames, type MoeConfig } from './config.ts';

/**
 * Every tensor of the model: name -> shape, rows outputs, columns inputs. With D model width, H heads x Dh, E
 * experts of width F, V vocabulary: embedding and lm_head [V, D]; q [H Dh, D]; k, v [Hkv Dh, D]; o [D, H Dh];
 * gate [E, D]; w1, w3 [F, D]; w2 [D, F]; norms [D].
 */
export function weightShapes(config: MoeConfig): Map<string, readonly number[]> {
  const { modelDim: d, expertDim: f, vocabSize: v } = config;
  const q = config.numHeads * config.headDim;
  const kv = config.numKvHeads * config.headDim;
  const shapes = new Map<string, readonly number[]>([[weightNames.embedding, [v, d]]]);
  for (const layer of range(config.numLayers)) {
    shapes.set(weightNames.attentionNorm(layer), [d]);
    shapes.set(weightNames.projection(layer, 'q'), [q, d]);
    shapes.set(weightNames.projection(layer, 'k'), [kv, d]);
    shapes.set(weightNames.projection(layer, 'v'), [kv, d]);
    shapes.set(weightNames.projection(layer, 'o'), [d, q]);
    shapes.set(weightNames.expertNorm(layer), [d]);
    shapes.set(weightNames.gate(layer), [config.numExperts, d]);
    for (const expert of range(config.numExperts)) {
      shapes.set(weightNames.expert(layer, expert, 'w1'), [f, d]);
      shapes.set(weightNames.expert(layer, expert, 'w2'), [d, f]);
      shapes.set(weightNames.expert(layer, expert, 'w3'), [f, d]);
    }
  }
  return shapes.set(weightNames.finalNorm, [d]).set(weightNames.lmHead, [v, d]);
}

/** @throws ConfigError with the value, the rule and the remedy for a model that cannot exist. */
export function checkConfig(config: MoeConfig): void {
  const counts = [
    'vocabSize',
    'modelDim',
    'numLayers',
    'numHeads',
    'numKvHeads',
    'headDim',
    'numExperts',
    'topK',
    'expertDim',
    'maxPositions',
  ] as const;
  for (const field of counts) {
    if (!Number.isSafeInteger(config[field]) || config[field] < 1) {
      throw new ConfigError(
        `${field} (${config[field]}) of model ${config.name} must be a whole number from 1. Correct the config.`,
      );
    }
  }
  for (const field of ['ropeTheta', 'rmsEps'] as const) {
    if (!(config[field] > 0 && Number.isFinite(config[field]))) {
      throw new ConfigError(
        `${field} (${config[field]}) of model ${config.name} must be a positive number. Correct the config.`,
      );
    }
  }
  if (config.numHeads % config.numKvHeads !== 0) {
    throw new ConfigError(
      `numHeads (${config.numHeads}) of model ${config.name} is not a multiple of numKvHeads (${config.numKvHeads}); ` +
        'query heads share key/value heads in equal groups. Choose a divisor.',
    );
  }
  if (config.topK > config.numExperts) {
    throw new ConfigError(
      `topK (${config.topK}) of model ${config.name} exceeds numExperts (${config.numExperts}). Choose at most that.`,
    );
  }
  if (config.headDim % 2 !== 0) {
    throw new ConfigError(
      `headDim (${config.headDim}) of model ${config.name} is odd; rotary positions turn pairs. Choose an even width.`,
    );
  }
}
