/** Random weights of a given shape: the same for a seed on every machine, whichever tensors are asked for. */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { at } from '../core/math.ts';
import { quoted } from '../core/text/quoted.ts';
import { seededRandom, seedOf } from '../core/random.ts';
import { castFloat, f32Tensor, type Tensor } from '../tensor/tensor.ts';
import { weightNames, type MoeConfig, type WeightSource } from './config.ts';
import { checkConfig, weightShape } from './weight-shapes.ts';

/** Deviation of the router's logits for a normalised input: wide enough that few choices are near ties. A guess. */
const GATE_LOGIT_DEVIATION = 2;

/** Deviation of the weights of a norm around 1. A guess. */
const NORM_DEVIATION = 0.1;

/**
 * Normal weights of deviation 1 / sqrt(inputs), so that activations of about unit size stay so in any width; norm
 * weights near 1; a gate twice as wide, for a diverse and well separated routing. Each tensor has a random stream of
 * its own, made anew at every `get`: nothing is kept.
 * @throws ConfigError for a config that cannot exist; from `get` for a name that the model does not have.
 */
export function syntheticWeights(
  config: MoeConfig,
  seed: number,
  dtype: 'f32' | 'f16' = 'f32',
): WeightSource {
  requireFields('The config', config, {
    name: 'string',
    vocabSize: 'number',
    modelDim: 'number',
    numLayers: 'number',
  });
  requireGiven('The seed', seed, 'number');
  checkConfig(config);
  return {
    config,
    origin: `synthetic, seed ${seed}, ${dtype}`,
    get(name): Tensor {
      const shape = weightShape(config, name);
      if (shape === undefined) {
        throw new ConfigError(
          `Model ${config.name} has no tensor ${quoted(name)}. Layers are 0 to ${config.numLayers - 1}, ` +
            `experts 0 to ${config.numExperts - 1}.`,
        );
      }
      return castFloat(f32Tensor(shape, values(name, shape, seed)), dtype);
    },
  };
}

function values(name: string, shape: readonly number[], seed: number): Float32Array {
  const random = seededRandom(seedOf(name, seed));
  const rows = at(shape, 0);
  const columns = shape[1];
  if (columns === undefined) return random.normals(rows, NORM_DEVIATION).map((v) => 1 + v);
  return random.normals(rows * columns, deviation(name, columns));
}

function deviation(name: string, inputs: number): number {
  if (name === weightNames.embedding) return 1; // a look-up, not a sum over inputs
  const scale = name.endsWith('.gate.weight') ? GATE_LOGIT_DEVIATION : 1;
  return scale / Math.sqrt(inputs);
}
