/** Keys and values of one sequence, for each layer, as they grow. */
import { invariant } from '../core/errors.ts';
import { range } from '../core/math.ts';

/** [S, Hkv, Dh] that grows at its end. */
class GrowingRows {
  #rows: Float64Array;
  #used = 0;

  constructor(capacity: number) {
    this.#rows = new Float64Array(capacity);
  }

  append(rows: Float64Array): Float64Array {
    const used = this.#used + rows.length;
    if (used > this.#rows.length) {
      const larger = new Float64Array(Math.max(used, 2 * this.#rows.length));
      larger.set(this.#rows);
      this.#rows = larger;
    }
    this.#rows.set(rows, this.#used);
    this.#used = used;
    return this.#rows.subarray(0, used);
  }
}

export class ReferenceCache {
  readonly #layers: readonly { readonly k: GrowingRows; readonly v: GrowingRows }[];
  /** Positions that are stored. The model moves it on when all layers have theirs. */
  length = 0;

  constructor(numLayers: number, rowWidth: number) {
    this.#layers = range(numLayers).map(() => ({
      k: new GrowingRows(16 * rowWidth),
      v: new GrowingRows(16 * rowWidth),
    }));
  }

  /** Appends rows [T, Hkv, Dh] and returns all of the layer's, [length + T, Hkv, Dh]: views until the next append. */
  append(layer: number, k: Float64Array, v: Float64Array): { k: Float64Array; v: Float64Array } {
    const rows = this.#layers[layer];
    invariant(rows !== undefined, () => `the cache has no layer ${layer}`);
    return { k: rows.k.append(k), v: rows.v.append(v) };
  }
}
