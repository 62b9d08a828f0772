/** Which tensors a model has, and their shapes. */
import { ConfigError } from '../core/errors.ts';
import { shortened } from '../core/text/quoted.ts';
import { LEAST_F32, MOST_F32 } from '../core/f32.ts';
import { isDense, type MoeConfig } from './config.ts';
import {
  EXPERT_PARTS,
  expertParts,
  layerParts,
  MODEL_PARTS,
  nameOf,
  placeOf,
  shapeOf,
} from './weights/parts.ts';

/**
 * Every tensor of the model: name and shape, rows outputs, columns inputs. With D model width, H heads x Dh, E
 * experts of width F, V vocabulary: embedding and lm_head [V, D]; q [H Dh, D]; k, v [Hkv Dh, D]; o [D, H Dh];
 * gate [E, D]; w1, w3 [F, D]; w2 [D, F]; norms [D]. One after the other: a config may claim any number of them.
 */
export function* weightShapes(config: MoeConfig): Generator<[name: string, shape: readonly number[]]> {
  for (const part of MODEL_PARTS) yield [nameOf(part), shapeOf(config, part)];
  const ofExpert = expertParts(config);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const dense = isDense(config, layer);
    for (const part of layerParts(config, dense)) yield [nameOf(part, layer), shapeOf(config, part)];
    for (let expert = 0; expert < (dense ? 0 : config.numExperts); expert++) {
      for (const part of ofExpert) yield [nameOf(part, layer, expert), shapeOf(config, part)];
    }
  }
}

/** How many tensors that is: 3 + L (7 + 3 E) of a model in Mixtral's form. */
export function numWeights(config: MoeConfig): number {
  const dense = config.dense?.layers.length ?? 0;
  const routed = layerParts(config, false).length + expertParts(config).length * config.numExperts;
  return (
    MODEL_PARTS.length +
    (config.numLayers - dense) * routed +
    (dense === 0 ? 0 : dense * layerParts(config, true).length)
  );
}

/** The shape of one tensor; undefined for a name that the model does not have. */
export function weightShape(config: MoeConfig, name: string): readonly number[] | undefined {
  const place = placeOf(name);
  if (place === undefined) return undefined;
  const { part, layer, expert } = place;
  if (MODEL_PARTS.some((p) => p === part)) return shapeOf(config, part);
  if (layer >= config.numLayers) return undefined;
  const dense = isDense(config, layer);
  const ofExpert = EXPERT_PARTS.some((p) => p === part);
  if (ofExpert && (dense || expert >= config.numExperts)) return undefined;
  const parts = ofExpert ? expertParts(config) : layerParts(config, dense);
  return parts.includes(part) ? shapeOf(config, part) : undefined;
}

/** @throws ConfigError with the value, the rule and the remedy for a model that cannot exist. */
export function checkConfig(config: MoeConfig): void {
  const name = shortened(config.name);
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
        `${field} (${config[field]}) of model ${name} must be a whole number from 1. Correct the config.`,
      );
    }
  }
  const { ropeTheta, rmsEps } = config;
  if (!(ropeTheta > 0 && Number.isFinite(ropeTheta))) {
    throw new ConfigError(
      `ropeTheta (${ropeTheta}) of model ${name} must be a positive number. Correct the config.`,
    );
  }
  // It is added on the device.
  if (!(rmsEps >= LEAST_F32 && rmsEps <= MOST_F32)) {
    throw new ConfigError(
      `rmsEps (${rmsEps}) of model ${name} must be a positive number that f32 holds, from ${LEAST_F32} to ${MOST_F32}. ` +
        'Correct the config.',
    );
  }
  if (config.numHeads % config.numKvHeads !== 0) {
    throw new ConfigError(
      `numHeads (${config.numHeads}) of model ${name} is not a multiple of numKvHeads (${config.numKvHeads}); ` +
        'query heads share key/value heads in equal groups. Choose a divisor.',
    );
  }
  if (config.topK > config.numExperts) {
    throw new ConfigError(
      `topK (${config.topK}) of model ${name} exceeds numExperts (${config.numExperts}). Choose at most that.`,
    );
  }
  if (config.headDim % 2 !== 0) {
    throw new ConfigError(
      `headDim (${config.headDim}) of model ${name} is odd; rotary positions turn pairs. Choose an even width.`,
    );
  }
}
