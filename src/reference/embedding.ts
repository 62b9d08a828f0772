/** Rows of a table, and the loss at the other end of the model. V vocabulary, D width, T tokens. */
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { f64At } from './f64.ts';

/** y[t] = table[ids[t]]. table [V, D] -> [T, D]. @throws ConfigError for an id outside the table. */
export function embedding(table_VD: Float64Array, ids: ArrayLike<number>, width: number): Float64Array {
  const vocabSize = table_VD.length / width;
  const y_TD = new Float64Array(ids.length * width);
  for (let t = 0; t < ids.length; t++) {
    const id = at(ids, t);
    if (!(Number.isInteger(id) && id >= 0 && id < vocabSize)) {
      throw new ConfigError(
        `Token id ${id} at position ${t} is not in 0 .. ${vocabSize - 1}, the vocabulary.`,
      );
    }
    y_TD.set(table_VD.subarray(id * width, (id + 1) * width), t * width);
  }
  return y_TD;
}

/** Index of the largest value of row `row`, ties to the lower index. */
export function argmaxRow(x: Float64Array, row: number, width: number): number {
  let best = 0;
  for (let i = 1; i < width; i++) if (f64At(x, row * width + i) > f64At(x, row * width + best)) best = i;
  return best;
}

/** Sum over t of -ln softmax(logits[t])[targets[t]], in nats, for the first `targets.length` rows of logits [T, V]. */
export function crossEntropySum(
  logits_TV: Float64Array,
  targets: ArrayLike<number>,
  vocabSize: number,
): number {
  let nats = 0;
  for (let t = 0; t < targets.length; t++) {
    const row = logits_TV.subarray(t * vocabSize, (t + 1) * vocabSize);
    const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const total = row.reduce((sum, value) => sum + Math.exp(value - max), 0);
    nats += max + Math.log(total) - f64At(row, at(targets, t));
  }
  return nats;
}
