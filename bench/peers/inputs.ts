/** Inputs of rows: seeded, so that every contestant and every run has the same numbers. */
import { seededRandom, seedOf } from '../../src/core/random.ts';
import { f32Tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { product } from '../../src/core/math.ts';

/** Evenly spread with mean 0 and the given standard deviation. Normal numbers would take minutes for all experts. */
export function evenNumbers(name: string, count: number, deviation = 1): Float32Array {
  const random = seededRandom(seedOf(name));
  const values = new Float32Array(count);
  const width = deviation * Math.sqrt(12);
  for (let i = 0; i < count; i++) values[i] = width * (random.uniform() - 0.5);
  return values;
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
