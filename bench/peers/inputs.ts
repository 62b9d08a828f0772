/** Inputs of rows: seeded, so that every contestant and every run has the same numbers. */
import { seededRandom, seedOf } from '../../src/core/random.ts';
import { f32Tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { product } from '../../src/core/math.ts';

/** The same numbers in f16 and f32: whole ones below 2^11 times a power of two. */
const LEVELS = 2048;

/**
 * Evenly spread about 0 with about the given standard deviation, at most 1.4 times off. Normal numbers would take
 * minutes for all experts.
 */
export function evenNumbers(name: string, count: number, deviation = 1): Float32Array {
  const random = seededRandom(seedOf(name));
  const values = new Float32Array(count);
  const step = 2 ** Math.round(Math.log2((deviation * Math.sqrt(12)) / LEVELS));
  for (let i = 0; i < count; i++) values[i] = step * (random.integer(LEVELS) - LEVELS / 2);
  return values;
}

/** `make`, called when its value is first wanted. */
export function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}

export function evenTensor(name: string, shape: readonly number[], deviation = 1): Tensor {
  return f32Tensor(shape, evenNumbers(name, product(shape), deviation));
}

/** [rows, cols] -> [cols, rows] */
export function transposed(values: Float32Array, rows: number, cols: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) result[c * rows + r] = values[r * cols + c] ?? 0;
  }
  return result;
}
