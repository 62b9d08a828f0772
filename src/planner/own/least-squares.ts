/** Fits of a few terms none of which may be negative: a time is a sum of costs. */
import { at, range, sum } from '../../core/math.ts';

/**
 * Coefficients >= 0 with the least sum of squares of relative errors, by trying every set of terms (2^n - 1, so for few).
 * @param rows the terms of each measurement. @param targets what was measured, more than 0.
 */
export function nonNegativeFit(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  const terms = at(rows, 0).length;
  const scaled = rows.map((row, i) => row.map((value) => value / at(targets, i)));
  let best = range(terms).map(() => 0);
  let least = Infinity;
  for (let set = 1; set < 2 ** terms; set++) {
    const chosen = range(terms).filter((term) => (set >> term) % 2 === 1);
    const found = solve(scaled, chosen);
    if (found === undefined || found.some((value) => !(value >= 0))) continue;
    const all = range(terms).map(() => 0);
    for (const [i, term] of chosen.entries()) all[term] = at(found, i);
    const error = sum(scaled.map((row) => (sum(row.map((value, term) => value * at(all, term))) - 1) ** 2));
    if (error < least) [best, least] = [all, error];
  }
  return best;
}

/** Normal equations of the chosen terms, each scaled to a mean size of 1; undefined where they do not tell the terms apart. */
function solve(rows: readonly (readonly number[])[], chosen: readonly number[]): number[] | undefined {
  const scale = chosen.map((term) => sum(rows.map((row) => Math.abs(at(row, term)))) / rows.length);
  if (scale.some((value) => !(value > 0))) return undefined;
  const part = rows.map((row) => chosen.map((term, i) => at(row, term) / at(scale, i)));
  const n = chosen.length;
  const matrix = range(n).map((i) => [
    ...range(n).map((j) => sum(part.map((row) => at(row, i) * at(row, j)))),
    sum(part.map((row) => at(row, i))),
  ]);
  for (const pivot of range(n)) {
    const from = range(n)
      .slice(pivot)
      .reduce((a, b) => (Math.abs(at(at(matrix, b), pivot)) > Math.abs(at(at(matrix, a), pivot)) ? b : a));
    [matrix[pivot], matrix[from]] = [at(matrix, from), at(matrix, pivot)];
    const head = at(matrix, pivot);
    if (Math.abs(at(head, pivot)) < 1e-9 * rows.length) return undefined;
    for (const i of range(n)) {
      if (i === pivot) continue;
      const row = at(matrix, i);
      const factor = at(row, pivot) / at(head, pivot);
      for (let j = pivot; j <= n; j++) row[j] = at(row, j) - factor * at(head, j);
    }
  }
  return range(n).map((i) => at(at(matrix, i), n) / at(at(matrix, i), i) / at(scale, i));
}
