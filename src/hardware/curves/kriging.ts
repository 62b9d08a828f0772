/**
 * Simple kriging (Gaussian-process regression with a known mean of 0): what is left over of a formula at shapes that were
 * measured tells what is left over at a shape between them. Rasmussen and Williams, Gaussian Processes for Machine
 * Learning (2006), section 2.2; blocks left out by section 5.4.2.
 */
import { invariant } from '../../core/errors.ts';
import { at } from '../../core/math.ts';

/** How alike two shapes are: exp(-sum of |difference| / scale). Scales belong to the features, in their unit. */
export interface KrigingOptions {
  readonly scales: readonly number[];
  /** Variance of what repeats of one measurement differ by, relative to that of the whole field. */
  readonly nugget: number;
}

export interface Weights {
  /** What each measured shape counts for. */
  readonly weights: Float64Array;
  /** Of the field at this shape, relative to its variance far from all measurements: 0 known, 1 unknown. */
  readonly variance: number;
}

/** Answers that are kept, each of some kilobytes. A guess. */
const MOST_KEPT = 1000;

/** The shapes that were measured, prepared for any number of questions. */
export class Kriging {
  readonly features: readonly (readonly number[])[];
  readonly options: KrigingOptions;
  /** Of the covariance with its nugget, row after row. */
  readonly inverse: Float64Array;
  private readonly kept = new Map<string, Weights>();

  constructor(features: readonly (readonly number[])[], options: KrigingOptions) {
    this.features = features;
    this.options = options;
    const n = features.length;
    const covariance = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        const alike = this.alike(at(features, i), at(features, j)) + (i === j ? options.nugget : 0);
        covariance[i * n + j] = covariance[j * n + i] = alike;
      }
    }
    this.inverse = inverted(covariance, n);
  }

  private alike(a: readonly number[], b: readonly number[]): number {
    let distance = 0;
    for (let f = 0; f < a.length; f++) distance += Math.abs(at(a, f) - at(b, f)) / at(this.options.scales, f);
    return Math.exp(-distance);
  }

  /** @param features of the shape that is asked for: one shape is asked for at many sizes. */
  weightsAt(features: readonly number[]): Weights {
    const name = features.join(' ');
    const known = this.kept.get(name) ?? this.weighed(features);
    if (this.kept.size >= MOST_KEPT) this.kept.clear();
    this.kept.set(name, known);
    return known;
  }

  private weighed(features: readonly number[]): Weights {
    const n = this.features.length;
    const near = Float64Array.from(this.features, (known) => this.alike(known, features));
    const weights = new Float64Array(n);
    let explained = 0;
    for (let i = 0; i < n; i++) {
      let weight = 0;
      for (let j = 0; j < n; j++) weight += (this.inverse[i * n + j] ?? 0) * (near[j] ?? 0);
      weights[i] = weight;
      explained += weight * (near[i] ?? 0);
    }
    return { weights, variance: Math.max(0, 1 - explained) + this.options.nugget };
  }

  /**
   * What the shapes of `block` would have been told to be off by, had none of them been measured: value minus prediction, for
   * any values of all shapes, and the variance that goes with it.
   */
  leaving(block: readonly number[]): { errors: (values: Float64Array) => number[]; variances: number[] } {
    const n = this.features.length;
    const size = block.length;
    const part = new Float64Array(size * size);
    block.forEach((row, a) => {
      block.forEach((column, b) => (part[a * size + b] = this.inverse[row * n + column] ?? 0));
    });
    const inner = inverted(part, size);
    return {
      variances: block.map((_, a) => inner[a * size + a] ?? NaN),
      errors: (values) => {
        const applied = block.map((row) => {
          let total = 0;
          for (let j = 0; j < n; j++) total += (this.inverse[row * n + j] ?? 0) * (values[j] ?? 0);
          return total;
        });
        return block.map((_, a) => {
          let error = 0;
          for (let b = 0; b < size; b++) error += (inner[a * size + b] ?? 0) * at(applied, b);
          return error;
        });
      },
    };
  }
}

/** The inverse of a symmetric positive matrix, by Cholesky's factors. */
export function inverted(matrix: Float64Array, n: number): Float64Array {
  const lower = Float64Array.from(matrix);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let value = lower[i * n + j] ?? 0;
      for (let k = 0; k < j; k++) value -= (lower[i * n + k] ?? 0) * (lower[j * n + k] ?? 0);
      if (i === j) {
        invariant(value > 0, () => `a covariance of ${n} shapes is not positive at ${j}`);
        lower[j * n + j] = Math.sqrt(value);
      } else {
        lower[i * n + j] = value / (lower[j * n + j] ?? 1);
      }
    }
  }
  return inverseOfFactors(lower, n);
}

/** (L L^T)^-1 = L^-T L^-1. */
function inverseOfFactors(lower: Float64Array, n: number): Float64Array {
  const back = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    back[j * n + j] = 1 / (lower[j * n + j] ?? 1);
    for (let i = j + 1; i < n; i++) {
      let value = 0;
      for (let k = j; k < i; k++) value -= (lower[i * n + k] ?? 0) * (back[k * n + j] ?? 0);
      back[i * n + j] = value / (lower[i * n + i] ?? 1);
    }
  }
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let value = 0;
      for (let k = i; k < n; k++) value += (back[k * n + i] ?? 0) * (back[k * n + j] ?? 0);
      inverse[i * n + j] = inverse[j * n + i] = value;
    }
  }
  return inverse;
}
