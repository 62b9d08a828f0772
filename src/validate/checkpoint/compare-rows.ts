/** How far rows are from what they should be, and whether routers chose the same experts. */
import { at } from '../../core/math.ts';

/** The largest difference of a row, in parts of the row's largest value; the worst of all rows. NaN counts as infinite. */
export function rowError(got: ArrayLike<number>, want: ArrayLike<number>, width: number): number {
  if (got.length !== want.length) return Infinity;
  let worst = 0;
  for (let start = 0; start < want.length; start += width) {
    let [largest, off] = [0, 0];
    for (let i = start; i < start + width; i++) {
      const w = want[i] as number;
      const difference = Math.abs((got[i] as number) - w);
      largest = Math.max(largest, Math.abs(w));
      off = difference <= off ? off : difference;
    }
    const error = off === 0 ? 0 : off / largest;
    worst = error <= worst ? worst : error;
  }
  return Number.isNaN(worst) ? Infinity : worst;
}

/** Experts of tokens beside those of float64. */
export interface Choices {
  /** Tokens of layers with a router. */
  readonly tokens: number;
  readonly equal: number;
  /** Others, where the last expert chosen and the next were as good as equal. */
  readonly nearTies: number;
  /** Others again. */
  readonly wrong: number;
}

export const NO_CHOICES: Choices = { tokens: 0, equal: 0, nearTies: 0, wrong: 0 };

/** @param gap_T of the scores, below which `nearTie` either choice is right. In any order within a token. */
export function compareChoices(
  got_TK: ArrayLike<number>,
  want_TK: ArrayLike<number>,
  gap_T: ArrayLike<number>,
  nearTie: number,
): Choices {
  const tokens = gap_T.length;
  const topK = tokens === 0 ? 0 : want_TK.length / tokens;
  let [equal, nearTies] = [0, 0];
  for (let t = 0; t < tokens; t++) {
    const of = (ids: ArrayLike<number>): string =>
      Array.from({ length: topK }, (_, k) => at(ids, t * topK + k))
        .sort((a, b) => a - b)
        .join();
    if (of(got_TK) === of(want_TK)) equal++;
    else if (at(gap_T, t) <= nearTie) nearTies++;
  }
  return { tokens, equal, nearTies, wrong: tokens - equal - nearTies };
}

export function addChoices(a: Choices, b: Choices): Choices {
  return {
    tokens: a.tokens + b.tokens,
    equal: a.equal + b.equal,
    nearTies: a.nearTies + b.nearTies,
    wrong: a.wrong + b.wrong,
  };
}
