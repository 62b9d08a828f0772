/** Logits that come some columns at a time: their worst error, and the perplexity of the text, without all of them in memory. */
import { at } from '../../core/math.ts';

export class LogitsAccount {
  readonly #ids: readonly number[];
  readonly #largest: Float64Array;
  readonly #worst: Float64Array;
  /** Of each row: its largest logit so far, and the sum of exponentials relative to it. */
  readonly #top: Float64Array;
  readonly #sum: Float64Array;
  readonly #target: Float64Array;

  /** @param ids of the text: row t of the logits tells of token t + 1. */
  constructor(ids: readonly number[]) {
    this.#ids = ids;
    const rows = ids.length;
    this.#largest = new Float64Array(rows);
    this.#worst = new Float64Array(rows);
    this.#top = new Float64Array(rows).fill(-Infinity);
    this.#sum = new Float64Array(rows);
    this.#target = new Float64Array(rows).fill(NaN);
  }

  /** Columns first, first + 1, ... of all rows. */
  add(got: ArrayLike<number>, want: ArrayLike<number>, first: number, count: number): void {
    for (let t = 0; t < this.#ids.length; t++) {
      let [largest, worst] = [at(this.#largest, t), at(this.#worst, t)];
      let [top, sum] = [at(this.#top, t), at(this.#sum, t)];
      for (let i = t * count; i < (t + 1) * count; i++) {
        const [g, w] = [got[i] as number, want[i] as number];
        largest = Math.max(largest, Math.abs(w));
        const off = Math.abs(g - w);
        worst = off <= worst ? worst : off;
        if (g > top) {
          sum = sum * Math.exp(top - g) + 1;
          top = g;
        } else sum += Math.exp(g - top);
      }
      this.#largest[t] = largest;
      this.#worst[t] = worst;
      this.#top[t] = top;
      this.#sum[t] = sum;
      const next = (this.#ids[t + 1] ?? -1) - first;
      if (next >= 0 && next < count) this.#target[t] = at(got, t * count + next);
    }
  }

  /** The largest difference of a row in parts of its largest logit; of the worst row. */
  get error(): number {
    let error = 0;
    this.#worst.forEach((worst, t) => {
      const own = worst === 0 ? 0 : worst / at(this.#largest, t);
      error = own <= error ? error : own;
    });
    return Number.isNaN(error) ? Infinity : error;
  }

  /** exp of the mean of -ln p(next token), over all tokens but the first; NaN of a text of one token. */
  get perplexity(): number {
    let nats = 0;
    const predicted = this.#ids.length - 1;
    for (let t = 0; t < predicted; t++) {
      nats += at(this.#top, t) + Math.log(at(this.#sum, t)) - at(this.#target, t);
    }
    return Math.exp(nats / predicted);
  }
}
