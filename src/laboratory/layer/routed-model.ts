/**
 * A layer of any sizes that chooses the experts it is told to: the first E values of a token are its router's logits, by
 * powers of two that round nothing, the gate takes them as they are, and the rest is noise that makes the norm 1. So a
 * trace runs through an engine's own kernels, router included. T tokens, E experts, D width.
 */
import { ConfigError, invariant } from '../../core/errors.ts';
import type { ScoreFunction } from '../../core/gating.ts';
import { at, product } from '../../core/math.ts';
import { seededRandom, seedOf } from '../../core/random.ts';
import type { MoeConfig, WeightSource } from '../../model/config.ts';
import { presetNamed } from '../../model/presets.ts';
import { placeOf } from '../../model/weights/parts.ts';
import { weightShape } from '../../model/weight-shapes.ts';
import { f32Tensor } from '../../tensor/tensor.ts';

export interface RoutedSizes {
  readonly numExperts: number;
  readonly topK: number;
  readonly modelDim: number;
  readonly expertDim: number;
  readonly score: ScoreFunction;
  /** Tokens of a rank at most. */
  readonly tokens: number;
}

/** The `card` model with another layer, one of them, and next to no attention. @throws ConfigError for too narrow a layer. */
export function routedConfig(sizes: RoutedSizes): MoeConfig {
  const { numExperts, topK, modelDim, expertDim, score, tokens } = sizes;
  if (modelDim < 2 * numExperts) {
    throw new ConfigError(
      `a width of ${modelDim} has no room for the logits of ${numExperts} experts; give at least twice as much.`,
    );
  }
  return {
    ...presetNamed('card').config,
    ...{ numLayers: 1, vocabSize: 2, numHeads: 1, numKvHeads: 1, headDim: 2 },
    ...{ numExperts, topK, modelDim, expertDim, maxPositions: Math.max(1, tokens) },
    router: { score },
  };
}

/** Logits beyond it are cut off: Gumbel noise of 32 bits and ln of any share of a trace stay within. */
const MOST_LOGIT = 128;

/** What logits are divided by in a token, and the gate multiplies by: a power of two, so that all fit beside the noise. */
function gateFactor({ numExperts, modelDim }: MoeConfig): number {
  return 2 ** Math.ceil(Math.log2(MOST_LOGIT * Math.sqrt((2 * numExperts) / modelDim)));
}

/** A prime: rows that follow each other differ. */
const POOL = 65_537;

/** The gate takes the first E values; norms are 1; experts are normal with deviation 1 / sqrt(inputs), from a pool. */
export function routedWeights(config: MoeConfig): WeightSource {
  const pool = seededRandom(5).normals(POOL);
  return {
    config,
    origin: 'made up, with a gate that takes logits as they are',
    get: (name) => {
      const shape = weightShape(config, name);
      invariant(shape !== undefined, () => `the layer has no ${name}`);
      const values = new Float32Array(product(shape));
      const columns = shape[1];
      if (columns === undefined) return f32Tensor(shape, values.fill(1));
      if (placeOf(name)?.part === 'gate') {
        for (let e = 0; e < config.numExperts; e++) values[e * columns + e] = gateFactor(config);
        return f32Tensor(shape, values);
      }
      const first = seedOf(name) % POOL;
      const deviation = columns ** -0.5;
      for (let i = 0; i < values.length; i++) values[i] = deviation * at(pool, (first + i) % POOL);
      return f32Tensor(shape, values);
    },
  };
}

/** [T, D]: tokens whose router has these logits, [E] each. @param seed of the noise. */
export function tokensOfLogits(
  config: MoeConfig,
  rows: readonly ArrayLike<number>[],
  seed = 1,
): Float32Array<ArrayBuffer> {
  const { modelDim, numExperts } = config;
  const factor = gateFactor(config);
  const pool = seededRandom(seed).normals(POOL);
  const x_TD = new Float32Array(rows.length * modelDim);
  rows.forEach((logits, token) => {
    const first = token * modelDim;
    let taken = 0;
    for (let e = 0; e < numExperts; e++) {
      const logit = Math.max(-MOST_LOGIT, Math.min(MOST_LOGIT, at(logits, e)));
      x_TD[first + e] = logit / factor;
      taken += at(x_TD, first + e) ** 2;
    }
    let noise = 0;
    const offset = token * 127;
    for (let d = numExperts; d < modelDim; d++) noise += at(pool, (offset + d) % POOL) ** 2;
    const scale = Math.sqrt((modelDim - taken) / noise);
    for (let d = numExperts; d < modelDim; d++) x_TD[first + d] = scale * at(pool, (offset + d) % POOL);
  });
  return x_TD;
}

/** Logits that give such scores, softmax's up to what they have in common. */
export function logitsOfScores(all_TE: ArrayLike<number>, numExperts: number): Float64Array[] {
  const rows: Float64Array[] = [];
  for (let first = 0; first < all_TE.length; first += numExperts) {
    const row = new Float64Array(numExperts);
    for (let e = 0; e < numExperts; e++) row[e] = Math.log(Math.max(at(all_TE, first + e), 1e-30));
    rows.push(row);
  }
  return rows;
}
