/**
 * What becomes of a model's numbers when its matrices are stored in another dtype. Norms stay f32. Under int8, int4 and
 * mxfp4 the router's gate stays f32, since near ties choose the experts, and the embedding, a look-up, is f16.
 */
import { requireFields, requireGiven } from '../core/given.ts';
import { quantise } from '../tensor/quantise.ts';
import { dequantise, type HostWeight, isQuantised, type WeightDtype } from '../tensor/quantised.ts';
import { castFloat } from '../tensor/tensor.ts';
import { weightNames, type WeightSource } from './config.ts';

export function gateDtype(dtype: WeightDtype): 'f32' | 'f16' {
  return isQuantised(dtype) ? 'f32' : dtype;
}

export function embeddingDtype(dtype: WeightDtype): 'f32' | 'f16' {
  return isQuantised(dtype) ? 'f16' : dtype;
}

/**
 * One whole tensor as it is stored: parts are cut from it, so that every layout computes with the same numbers.
 * @throws ConfigError for a value that is not finite, or rows that do not fit, when it is quantised.
 */
export function storedWeight(source: WeightSource, name: string, dtype: WeightDtype): HostWeight {
  const weight = source.get(name);
  if (weight.shape.length === 1) return castFloat(weight, 'f32');
  if (name.endsWith('.gate.weight')) return castFloat(weight, gateDtype(dtype));
  if (name === weightNames.embedding) return castFloat(weight, embeddingDtype(dtype));
  return isQuantised(dtype) ? quantise(weight, dtype, name) : castFloat(weight, dtype);
}

/** The same model with the numbers that are left of its weights when they are stored in `dtype`: for references. */
export function storedValues(source: WeightSource, dtype: WeightDtype): WeightSource {
  requireFields('The weights', source, { config: 'record', get: 'function' });
  requireGiven('The dtype', dtype, 'string');
  return {
    config: source.config,
    origin: `${source.origin}, stored in ${dtype}`,
    get(name) {
      const stored = storedWeight(source, name, dtype);
      return 'format' in stored ? dequantise(stored) : stored;
    },
  };
}
