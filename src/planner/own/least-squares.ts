/** Fits of a few terms none of which may be negative: a time is a sum of costs. */
import { at, range, sum } from '../../core/math.ts';

/** Rounds in which measurements that the rest disagrees with lose weight, and the relative error from which on they do. */
const ROUNDS = 4;
const USUAL = 0.02;

/**
 * Coefficients >= 0 of relative errors that are small for most: least squares over every set of terms (2^n - 1, so for few),
 * then again with weights that fall as the errors grow.
 * @param rows the terms of each measurement. @param targets what was measured, more than 0.
 * @param weights of the measurements; 1 when absent.
 */
export function nonNegativeFit(
  rows: readonly (readonly number[])[],
  targets: readonly number[],
  weights: readonly number[] = targets.map(() => 1),
): number[] {
  const scaled = rows.map((row, i) => row.map((value) => value / at(targets, i)));
  let trusted = weights;
  let best = leastSquares(scaled, trusted);
  for (let round = 1; round < ROUNDS; round++) {
    const factors = best;
    const errors = scaled.map((row) =>
      Math.abs(sum(row.map((value, term) => value * at(factors, term))) - 1),
    );
    trusted = weights.map((weight, i) => weight * Math.sqrt(USUAL / Math.max(USUAL, at(errors, i))));
    best = leastSquares(scaled, trusted);
  }
  return best;
}

/** Of the sets of terms without a negative coefficient the one with the least sum of squares of weights times errors. */
function leastSquares(scaled: readonly (readonly number[])[], weights: readonly number[]): number[] {
  const terms = at(scaled, 0).length;
  const rows = scaled.map((row, i) => [...row.map((value) => value * at(weights, i)), at(weights, i)]);
  // All that any set needs: the products of the columns, the last of which is the targets.
  const columns = terms + 1;
  const products = range(columns).map((i) =>
    range(columns).map((j) => sum(rows.map((row) => at(row, i) * at(row, j)))),
  );
  const product = (i: number, j: number): number => at(at(products, i), j);
  let best = range(terms).map(() => 0);
  let least = Infinity;
  for (let set = 1; set < 2 ** terms; set++) {
    const chosen = range(terms).filter((term) => (set >> term) % 2 === 1);
    const found = solve(product, chosen, terms);
    if (found === undefined || found.some((value) => !(value >= 0))) continue;
    const error =
      product(terms, terms) +
      sum(
        chosen.map(
          (a, i) =>
            at(found, i) * (sum(chosen.map((b, j) => at(found, j) * product(a, b))) - 2 * product(a, terms)),
        ),
      );
    // A further term must be worth it, or rounding would choose among equals.
    if (error < least - 1e-9 * product(terms, terms)) {
      best = range(terms).map(() => 0);
      for (const [i, term] of chosen.entries()) best[term] = at(found, i);
      least = error;
    }
  }
  return best;
}

/** Normal equations of the chosen columns, each scaled to a length of 1; undefined where they do not tell the terms apart. */
function solve(
  product: (i: number, j: number) => number,
  chosen: readonly number[],
  target: number,
): number[] | undefined {
  const scale = chosen.map((term) => Math.sqrt(product(term, term)));
  if (scale.some((value) => !(value > 0))) return undefined;
  const n = chosen.length;
  const matrix = range(n).map((i) => [
    ...range(n).map((j) => product(at(chosen, i), at(chosen, j)) / at(scale, i) / at(scale, j)),
    product(at(chosen, i), target) / at(scale, i),
  ]);
  for (const pivot of range(n)) {
    const from = range(n)
      .slice(pivot)
      .reduce((a, b) => (Math.abs(at(at(matrix, b), pivot)) > Math.abs(at(at(matrix, a), pivot)) ? b : a));
    [matrix[pivot], matrix[from]] = [at(matrix, from), at(matrix, pivot)];
    const head = at(matrix, pivot);
    if (Math.abs(at(head, pivot)) < 1e-9) return undefined;
    for (const i of range(n)) {
      if (i === pivot) continue;
      const row = at(matrix, i);
      const factor = at(row, pivot) / at(head, pivot);
      for (let j = pivot; j <= n; j++) row[j] = at(row, j) - factor * at(head, j);
    }
  }
  return range(n).map((i) => at(at(matrix, i), n) / at(at(matrix, i), i) / at(scale, i));
}
