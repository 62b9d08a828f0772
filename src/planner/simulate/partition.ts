/** Layers cut into stages of a pipeline: runs whose dearest is as cheap as can be. */
import { ConfigError } from '../../core/errors.ts';
import { at, range } from '../../core/math.ts';

export interface Partition {
  /** Layers of each stage, in order; at least one each. */
  readonly layers: readonly number[];
  /** Cost of the dearest stage. */
  readonly most: number;
}

/**
 * The best cut by dynamic programming over (stages, layers): best(p, n) = min over m of max(best(p - 1, m), cost of layers m to n).
 * Exact, O(stages x layers^2). Of equally good cuts the one with the longer stages first.
 * @param costs of the layers, none negative. @throws ConfigError for more stages than layers.
 */
export function partitionStages(costs: readonly number[], stages: number): Partition {
  const n = costs.length;
  if (!(Number.isInteger(stages) && stages >= 1 && stages <= n)) {
    throw new ConfigError(
      `${stages} stages cannot share ${n} layers: every stage needs one. Choose 1 to ${n}.`,
    );
  }
  const until = [0];
  for (const cost of costs) until.push(at(until, until.length - 1) + cost);
  const cost = (first: number, end: number): number => at(until, end) - at(until, first);
  // best[k] of the first k layers, and for each number of stages where the last of them begins.
  let best = range(n + 1).map((k) => (k === 0 ? Infinity : cost(0, k)));
  const begins: number[][] = [];
  for (let p = 2; p <= stages; p++) {
    const next = range(n + 1).map(() => Infinity);
    const begin = range(n + 1).map(() => 0);
    for (let k = p; k <= n; k++) {
      for (let m = k - 1; m >= p - 1; m--) {
        const last = cost(m, k);
        const most = Math.max(at(best, m), last);
        if (most < at(next, k)) {
          next[k] = most;
          begin[k] = m;
        }
        // Longer last stages only cost more.
        if (last >= at(next, k)) break;
      }
    }
    best = next;
    begins.push(begin);
  }
  const layers: number[] = [];
  let end = n;
  for (let p = stages; p >= 2; p--) {
    const first = at(at(begins, p - 2), end);
    layers.unshift(end - first);
    end = first;
  }
  return { layers: [end, ...layers], most: at(best, n) };
}
