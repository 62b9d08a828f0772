/** Which tensors a model has, and their shapes. */
import { ConfigError } from '../core/errors.ts';
import { shortened } from '../core/quoted.ts';
import { LEAST_F32, MOST_F32 } from '../core/f32.ts';
import { weightNames, type MoeConfig } from './config.ts';

/** What one layer has once, and what each of its experts has: the end of the name and the shape. */
function layerParts(config: MoeConfig): readonly Part[] {
  const d = config.modelDim;
  const q = config.numHeads * config.headDim;
  const kv = config.numKvHeads * config.headDim;
  return [
    [weightNames.attentionNorm, [d]],
    [(layer) => weightNames.projection(layer, 'q'), [q, d]],
    [(layer) => weightNames.projection(layer, 'k'), [kv, d]],
    [(layer) => weightNames.projection(layer, 'v'), [kv, d]],
    [(layer) => weightNames.projection(layer, 'o'), [d, q]],
    [weightNames.expertNorm, [d]],
    [weightNames.gate, [config.numExperts, d]],
  ];
}

type Part = readonly [nameOf: (layer: number) => string, shape: readonly number[]];

const EXPERT_MATRICES = ['w1', 'w2', 'w3'] as const;

function expertShape({ modelDim: d, expertDim: f }: MoeConfig, which: 'w1' | 'w2' | 'w3'): readonly number[] {
  return which === 'w2' ? [d, f] : [f, d];
}

function outerShapes({ vocabSize, modelDim }: MoeConfig): ReadonlyMap<string, readonly number[]> {
  return new Map([
    [weightNames.embedding, [vocabSize, modelDim]],
    [weightNames.finalNorm, [modelDim]],
    [weightNames.lmHead, [vocabSize, modelDim]],
  ]);
}

/**
 * Every tensor of the model: name and shape, rows outputs, columns inputs. With D model width, H heads x Dh, E
 * experts of width F, V vocabulary: embedding and lm_head [V, D]; q [H Dh, D]; k, v [Hkv Dh, D]; o [D, H Dh];
 * gate [E, D]; w1, w3 [F, D]; w2 [D, F]; norms [D]. One after the other: a config may claim any number of them.
 */
export function* weightShapes(config: MoeConfig): Generator<[name: string, shape: readonly number[]]> {
  yield* outerShapes(config);
  const parts = layerParts(config);
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const [nameOf, shape] of parts) yield [nameOf(layer), shape];
    for (let expert = 0; expert < config.numExperts; expert++) {
      for (const which of EXPERT_MATRICES) {
        yield [weightNames.expert(layer, expert, which), expertShape(config, which)];
      }
    }
  }
}

/** How many tensors that is: 3 + L (7 + 3 E). */
export function numWeights({ numLayers, numExperts }: MoeConfig): number {
  return 3 + numLayers * (7 + EXPERT_MATRICES.length * numExperts);
}

const LAYER_NAME = /^model\.layers\.(\d{1,15})\./;
const EXPERT_NAME = /\.experts\.(\d{1,15})\.(w[123])\.weight$/;

/** The shape of one tensor; undefined for a name that the model does not have. */
export function weightShape(config: MoeConfig, name: string): readonly number[] | undefined {
  const [, layerText] = LAYER_NAME.exec(name) ?? [];
  if (layerText === undefined) return outerShapes(config).get(name);
  const layer = Number(layerText);
  if (layer >= config.numLayers) return undefined;
  const [, expertText, which] = EXPERT_NAME.exec(name) ?? [];
  if (expertText === undefined) return layerParts(config).find(([nameOf]) => nameOf(layer) === name)?.[1];
  const expert = Number(expertText);
  const matrix = EXPERT_MATRICES.find((w) => w === which);
  if (expert >= config.numExperts || matrix === undefined) return undefined;
  return weightNames.expert(layer, expert, matrix) === name ? expertShape(config, matrix) : undefined;
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
