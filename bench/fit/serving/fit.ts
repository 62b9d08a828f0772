/** Fits the figures of serving to rows: damped Gauss-Newton steps on logarithms, with Huber's weights and a weak prior. */
import { at, sum } from '../../../src/core/math.ts';
import { inverted } from '../../../src/hardware/curves/kriging.ts';
import { figuresOf, NAMED, ORIGIN } from './parameters.ts';
import { predictor, type Simulated } from './surrogate.ts';

/** Errors beyond are outliers: as logarithms. */
const HUBER = { tpot: 0.15, ttft: 0.3 } as const;
/** Standard deviation of a figure's logarithm around the middle of its prior. */
const PRIOR = 0.35;
/** TTFT tells of steps only where requests do not queue. */
const MOST_QUEUEING = 0.3;
const STEPS = 8;
const STRIDE = 1e-3;

/**
 * @param start where the fit begins. @param free places that are fitted; the others stay.
 * @param begun logarithms that the rows were simulated with.
 */
export function fitted(
  rows: readonly Simulated[],
  start: readonly number[],
  free: readonly number[] = NAMED,
  begun: readonly number[] = start,
): number[] {
  const families = new Map<string, number>();
  for (const { row } of rows) families.set(row.family, (families.get(row.family) ?? 0) + 1);
  const begin = figuresOf(begun);
  const predict = rows.map((one) => predictor(one, begin));
  const errorsOf = (logs: readonly number[]): { error: number; scale: number; weight: number }[] => {
    const figures = figuresOf(logs);
    return rows.flatMap((one, i) => {
      const { row } = one;
      const { tpot, ttft } = at(predict, i)(figures);
      // A family counts by the root of its rows, and one of a dense model half.
      const weight = (row.mixture ? 1 : 0.5) / Math.sqrt(families.get(row.family) ?? 1);
      return [
        { error: tpot - Math.log(row.tpotMs), scale: HUBER.tpot, weight },
        ...(one.queueingShare < MOST_QUEUEING || row.backend === 'sglang'
          ? [{ error: ttft - Math.log(row.ttftMs), scale: HUBER.ttft, weight: weight / 2 }]
          : []),
      ];
    });
  };
  const loss = (errors: ReturnType<typeof errorsOf>, logs: readonly number[]): number =>
    sum(errors.map(({ error, scale, weight }) => weight * huber(error / scale))) +
    sum(free.map((p) => ((at(logs, p) - at(ORIGIN, p)) / PRIOR) ** 2 / 2));
  let logs = [...start];
  let errors = errorsOf(logs);
  let now = loss(errors, logs);
  let damping = 1e-2;
  for (let step = 0; step < STEPS; step++) {
    const n = free.length;
    const columns = free.map((p) => {
      const other = logs.map((value, i) => (i === p ? value + STRIDE : value));
      return errorsOf(other).map(({ error }, i) => (error - at(errors, i).error) / STRIDE);
    });
    const normal = new Float64Array(n * n);
    const slope = new Float64Array(n);
    errors.forEach(({ error, scale, weight }, i) => {
      const w = (weight * Math.min(1, scale / Math.max(1e-9, Math.abs(error)))) / scale ** 2;
      for (let a = 0; a < n; a++) {
        const ja = at(at(columns, a), i);
        slope[a] = (slope[a] ?? 0) - w * ja * error;
        for (let b = 0; b < n; b++)
          normal[a * n + b] = (normal[a * n + b] ?? 0) + w * ja * at(at(columns, b), i);
      }
    });
    for (let a = 0; a < n; a++) {
      normal[a * n + a] = (normal[a * n + a] ?? 0) + 1 / PRIOR ** 2;
      const p = at(free, a);
      slope[a] = (slope[a] ?? 0) - (at(logs, p) - at(ORIGIN, p)) / PRIOR ** 2;
    }
    let better = false;
    for (let tries = 0; tries < 6 && !better; tries++) {
      const damped = Float64Array.from(normal);
      for (let a = 0; a < n; a++) damped[a * n + a] = (damped[a * n + a] ?? 0) * (1 + damping) + 1e-6;
      const inverse = inverted(damped, n);
      const next = logs.map((value, p) => {
        const a = free.indexOf(p);
        if (a < 0) return value;
        let move = 0;
        for (let b = 0; b < n; b++) move += (inverse[a * n + b] ?? 0) * (slope[b] ?? 0);
        return value + Math.max(-1, Math.min(1, move));
      });
      const found = errorsOf(next);
      const then = loss(found, next);
      if (then < now) {
        better = now - then > 1e-4 * now;
        [logs, errors, now, damping] = [next, found, then, damping / 4];
        if (!better) return logs;
      } else damping *= 8;
    }
    if (!better) break;
  }
  return logs;
}

function huber(z: number): number {
  return Math.abs(z) <= 1 ? (z * z) / 2 : Math.abs(z) - 0.5;
}
