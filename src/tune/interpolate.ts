/** The time that a variant would take at a shape that was not measured, from shapes that were. All in logarithms. */
import { maxOf, minOf, sum } from '../core/math.ts';
import { summarise } from '../measure/statistics.ts';
import type { TuningPoint } from './point.ts';
import { sizeNames, type ShapeKey } from './shape-key.ts';

/** How far outside of what was measured its nearest shape still counts: a factor in each size. A guess. */
const REACH = 2;
/** Neighbours that take part where shapes differ in more than one size. A guess. */
const NEIGHBOURS = 4;

export interface Prediction {
  /** Predicted ns per run. */
  readonly timeNs: ReadonlyMap<string, number>;
  /** Measured shapes that it rests on. */
  readonly points: readonly TuningPoint[];
  readonly how: 'between' | 'nearest';
}

/** Undefined when the shape is too far from all that was measured. @param points of the same kind as `key`. */
export function predict(key: ShapeKey, points: readonly TuningPoint[]): Prediction | undefined {
  const pair = bracket(key, points);
  if (pair !== undefined) return { timeNs: alongLine(key, pair), points: [...pair], how: 'between' };
  const [nearest] = [...points].sort((a, b) => distance(key, a) - distance(key, b));
  if (nearest === undefined) return undefined;
  if (!isWithin(key, points)) {
    const near = sizeNames(key, nearest).every(
      (name) => Math.abs(logRatio(key, nearest, name)) <= Math.log(REACH),
    );
    return near ? { timeNs: timesOf(nearest), points: [nearest], how: 'nearest' } : undefined;
  }
  const close = [...points].sort((a, b) => distance(key, a) - distance(key, b)).slice(0, NEIGHBOURS);
  return { timeNs: weighted(key, close), points: close, how: 'between' };
}

export function timesOf({ evidence }: TuningPoint): Map<string, number> {
  return new Map(evidence.map(({ variant, samplesNs }) => [variant, summarise(samplesNs).median]));
}

/** The nearest two shapes that differ from the key in one size only, one below and one above it. */
function bracket(key: ShapeKey, points: readonly TuningPoint[]): [TuningPoint, TuningPoint] | undefined {
  const names = Object.keys(key.sizes);
  for (const name of names) {
    const line = points.filter((p) =>
      names.every((other) => other === name || key.sizes[other] === p.sizes[other]),
    );
    const [below] = line.filter((p) => logRatio(p, key, name) < 0).sort((a, b) => logRatio(b, a, name));
    const [above] = line.filter((p) => logRatio(p, key, name) > 0).sort((a, b) => logRatio(a, b, name));
    if (below !== undefined && above !== undefined) return [below, above];
  }
  return undefined;
}

/** A power law through both. */
function alongLine(key: ShapeKey, [below, above]: [TuningPoint, TuningPoint]): Map<string, number> {
  const share = distance(below, key) / distance(below, above);
  const [low, high] = [timesOf(below), timesOf(above)];
  const times = new Map<string, number>();
  for (const [variant, ns] of low) {
    const other = high.get(variant);
    if (other !== undefined)
      times.set(variant, Math.exp((1 - share) * Math.log(ns) + share * Math.log(other)));
  }
  return times;
}

/** Time per unit of work (the product of sizes), neighbours weighted by 1 / distance^2. */
function weighted(key: ShapeKey, points: readonly TuningPoint[]): Map<string, number> {
  const times = points.map(timesOf);
  const weights = points.map((point) => 1 / distance(key, point) ** 2);
  const total = sum(weights);
  const common = [...(times[0]?.keys() ?? [])].filter((variant) => times.every((t) => t.has(variant)));
  return new Map(
    common.map((variant) => {
      const logs = points.map(
        (p, i) => (weights[i] ?? 0) * (Math.log(times[i]?.get(variant) ?? NaN) - work(p)),
      );
      return [variant, Math.exp(work(key) + sum(logs) / total)];
    }),
  );
}

function work({ sizes }: ShapeKey): number {
  return sum(Object.values(sizes).map(Math.log));
}

/** ln(a / b) of one size. */
function logRatio(a: ShapeKey, b: ShapeKey, name: string): number {
  return Math.log((a.sizes[name] ?? NaN) / (b.sizes[name] ?? NaN));
}

function distance(a: ShapeKey, b: ShapeKey): number {
  return Math.sqrt(sum(sizeNames(a, b).map((name) => logRatio(a, b, name) ** 2)));
}

/** Every size lies between the least and the most that was measured. */
function isWithin({ sizes }: ShapeKey, points: readonly TuningPoint[]): boolean {
  return Object.entries(sizes).every(([name, value]) => {
    const measured = points.map((point) => point.sizes[name] ?? NaN);
    return minOf(measured) <= value && value <= maxOf(measured);
  });
}
