/** What one input would have to be for a statement to hold: the nearest value to the one given. */
import type { Check, Values } from './check.ts';

/** A value of an input from which on, or up to which, the statement holds. */
export interface Solution {
  readonly input: string;
  readonly unit: string;
  /** Under which reading. */
  readonly condition: string;
  readonly bound: 'at least' | 'at most';
  readonly value: number;
  /** What was given or assumed instead; absent where nothing was. */
  readonly instead?: number;
}

/** Steps of a search in powers; between two neighbours the bound is bisected. */
const STEPS = 240;
const HALVINGS = 80;

/**
 * The bound of `input` at which the statement begins to hold under the reading of this index.
 * @returns undefined where it holds for all values of the input's range or for none.
 */
export function solveFor(
  check: Check,
  x: Values,
  input: string,
  reading: number,
  holds: (value: number) => boolean,
): Solution | undefined {
  const rule = check.inputs[input];
  if (rule?.range === undefined) return undefined;
  const [least, most] = rule.range;
  const test = (value: number): boolean => {
    const found = check.readings({ ...x, [input]: value })[reading];
    return found !== undefined && Number.isFinite(found.value) && holds(found.value);
  };
  const grid = gridOf(least, most, rule.whole === true);
  const start = x[input];
  const flags = grid.map(test);
  const edges = grid.flatMap((value, i) => (i > 0 && flags[i] !== flags[i - 1] ? [{ i, value }] : []));
  const nearest = edges.reduce<{ i: number; value: number } | undefined>((best, edge) => {
    const far = (value: number): number => Math.abs(Math.log((value || 1e-12) / (start ?? value) || 1));
    return best === undefined || far(edge.value) < far(best.value) ? edge : best;
  }, undefined);
  if (nearest === undefined) return undefined;
  const upward = flags[nearest.i] === true;
  let low = grid[nearest.i - 1] ?? least;
  let high = nearest.value;
  for (let i = 0; i < HALVINGS; i++) {
    const mid = rule.whole === true ? Math.floor((low + high) / 2) : (low + high) / 2;
    if (mid <= low || mid >= high) break;
    if (test(mid) === upward) high = mid;
    else low = mid;
  }
  const condition = check.readings({ ...x, [input]: high })[reading]?.condition ?? '';
  return {
    input,
    unit: rule.unit,
    condition,
    bound: upward ? 'at least' : 'at most',
    value: upward ? high : low,
    ...(start !== undefined && { instead: start }),
  };
}

/** Evenly over powers where the range is positive; whole numbers one by one as far as that goes. */
function gridOf(least: number, most: number, whole: boolean): number[] {
  if (whole) {
    const first = Math.max(1, least);
    const values = Array.from({ length: STEPS }, (_, i) =>
      Math.round(first * (most / first) ** (i / (STEPS - 1))),
    );
    const small = Array.from({ length: 128 }, (_, i) => first + i).filter((value) => value <= most);
    return [...new Set([...small, ...values])].sort((a, b) => a - b);
  }
  if (least <= 0) return Array.from({ length: STEPS }, (_, i) => least + ((most - least) * i) / (STEPS - 1));
  return Array.from({ length: STEPS }, (_, i) => least * (most / least) ** (i / (STEPS - 1)));
}
