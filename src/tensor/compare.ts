/**
 * Comparison under a budget. An element passes only by proof, `err <= budget`, so NaN on either side fails.
 * The report names the worst element and its error as a multiple of what was allowed.
 */
import { requireFields, requireGiven } from '../core/given.ts';
import { at } from '../core/math.ts';

/**
 * Allowed absolute error per element: a bound for all, or one per element (derived from the operation).
 * `overflows[i]` is 1 where a value within the bounds of the arithmetic is beyond the format it is stored in, so that
 * Infinity of its sign is right as well.
 */
export type Budget =
  | { readonly atol: number; readonly rtol: number }
  | { readonly perElement: Float64Array; readonly overflows?: Uint8Array };

/** How an output lies beside what was expected: `got` and `want` are of the worst element, at `worstIndex`. */
export interface Comparison {
  readonly pass: boolean;
  readonly count: number;
  /** Elements over budget, NaN included. */
  readonly over: number;
  /** Largest error divided by its budget; Infinity when a value is not finite. */
  readonly worstShare: number;
  readonly worstIndex: readonly number[];
  readonly got: number;
  readonly want: number;
}

/**
 * Largest error bound gamma_n = n u / (1 - n u) of a sum of n rounded terms (Higham, 2002, lemma 3.1). It holds for n u
 * below 1 only; from a half on, where it is 1, what it is a bound of takes its place, 1 / (1 - u)^n - 1, once that is
 * more. Never negative; Infinity, which passes no comparison, where it is beyond float64.
 */
export function gamma(n: number, unitRoundoff = 2 ** -24): number {
  const nu = n * unitRoundoff;
  if (nu <= 0.5) return nu / (1 - nu);
  return Math.max(1, Math.expm1(-n * Math.log1p(-unitRoundoff)));
}

/** Compares element by element. A length that differs fails at once: nothing is compared. */
export function compare(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  shape: readonly number[],
  budget: Budget,
): Comparison {
  requireGiven('What was computed', got, 'list');
  requireGiven('What it should be', want, 'list');
  requireGiven('The shape', shape, 'list');
  requireGiven('The budget', budget, 'record');
  if (got.length !== want.length) {
    return {
      pass: false,
      count: want.length,
      over: want.length,
      worstShare: Infinity,
      worstIndex: [],
      got: NaN,
      want: NaN,
    };
  }
  let over = 0;
  let worst = -1;
  let worstShare = -1;
  for (let i = 0; i < want.length; i++) {
    const w = at(want, i);
    const allowed =
      'perElement' in budget ? at(budget.perElement, i) : budget.atol + budget.rtol * Math.abs(w);
    const err = errorOf(at(got, i), w, 'perElement' in budget && budget.overflows?.[i] === 1);
    // No budget is worth an infinite error, and one without an end proves nothing.
    const passes = err <= allowed && (err === 0 || allowed < Infinity);
    if (!passes) over += 1;
    const share = err === 0 ? 0 : err < Infinity && allowed < Infinity ? err / allowed : Infinity;
    if (share > worstShare || Number.isNaN(share)) {
      worst = i;
      worstShare = Number.isNaN(share) ? Infinity : share;
    }
  }
  return {
    pass: over === 0,
    count: want.length,
    over,
    worstShare: Math.max(0, worstShare),
    worstIndex: worst < 0 ? [] : unravel(worst, shape),
    got: worst < 0 ? 0 : at(got, worst),
    want: worst < 0 ? 0 : at(want, worst),
  };
}

/** |got - want|; none between equal infinities, or between a value that may overflow and Infinity of its sign. */
function errorOf(got: number, want: number, overflows: boolean): number {
  if (got === want || (overflows && Math.abs(got) === Infinity && got > 0 === want > 0)) return 0;
  return Math.abs(got - want);
}

/** 'combine.y: 3 of 8192 over budget; worst [5, 17] got 1.02 want 0.98, 4.1x budget' */
export function describe(name: string, c: Comparison): string {
  requireGiven('The name', name, 'string');
  requireFields('The comparison', c, { pass: 'flag', worstIndex: 'list' });
  if (c.worstIndex.length === 0 && !c.pass)
    return `${name}: the number of elements differs from the reference's ${c.count}`;
  const worst = `worst [${c.worstIndex.join(', ')}] got ${c.got} want ${c.want}, ${c.worstShare.toPrecision(3)}x budget`;
  return c.pass ? `${name}: ok (${worst})` : `${name}: ${c.over} of ${c.count} over budget; ${worst}`;
}

/** Position of a flat row-major index: unravel(7, [2, 5]) = [1, 2]. */
export function unravel(index: number, shape: readonly number[]): number[] {
  const position: number[] = [];
  let rest = index;
  for (let d = shape.length - 1; d >= 0; d--) {
    const size = Math.max(1, at(shape, d));
    position.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return position;
}
