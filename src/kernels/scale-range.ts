/** Whether scales are of sizes with which products stay within f32, in whatever order they are multiplied. */
import { at } from '../core/math.ts';
import { BLOCK, fromE8m0, type HostWeight, type QuantisedMatrix } from '../tensor/quantised.ts';

/** Scales, and inputs, of these sizes multiply in any order within f32, over millions of terms. */
const ORDINARY = { leastScale: 2 ** -100, mostScale: 2 ** 100, leastInput: 2 ** -124, mostInput: 2 ** 90 };

/**
 * Scales up to here keep hidden values below `mostInput`: either projection of 2^13 normalised values, of up to 2^6 each, is
 * less than 2^42 with 127 times this.
 */
const MOST_BEFORE_HIDDEN = 2 ** 16;

/** Least and most magnitude, of values that are neither 0 nor without an end. */
export interface Magnitudes {
  readonly least: number;
  readonly most: number;
}

export function magnitudesOf(values: ArrayLike<number>): Magnitudes {
  let [least, most] = [Infinity, 0];
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i] as number);
    if (!(size > 0 && size < Infinity)) continue;
    if (size < least) least = size;
    if (size > most) most = size;
  }
  return { least, most };
}

/** Those of a matrix's scales that multiply more than zeros: mxfp4 gives a block of zeros a scale all the same. */
export function scaleMagnitudes(matrix: QuantisedMatrix): Magnitudes {
  const { scales } = matrix;
  if (scales instanceof Float32Array) return magnitudesOf(scales);
  let [least, most] = [Infinity, 0];
  for (let block = 0; block < scales.length; block++) {
    const byte = scales[block] as number;
    if ((byte < least || byte > most) && byte < 255 && hasValues(matrix, block)) {
      [least, most] = [Math.min(least, byte), Math.max(most, byte)];
    }
  }
  return least > most ? { least: Infinity, most: 0 } : { least: fromE8m0(least), most: fromE8m0(most) };
}

/** Whether a block of e2m1 has any other value than 0. */
function hasValues({ data }: QuantisedMatrix, block: number): boolean {
  const bytes = BLOCK / 2;
  for (let i = block * bytes; i < (block + 1) * bytes; i++) if ((at(data, i) & 0x77) !== 0) return true;
  return false;
}

/** Of several matrices. */
export function widest(a: Magnitudes | undefined, b: Magnitudes): Magnitudes {
  return a === undefined ? b : { least: Math.min(a.least, b.least), most: Math.max(a.most, b.most) };
}

/**
 * Whether a product of inputs, values in few bits and their scales may leave f32 on the way although its result does
 * not: kernels then take half of a scale at a time, which is slower.
 */
export function leavesRange(weight: HostWeight, input: Magnitudes): boolean {
  if (!('format' in weight)) return false;
  return (
    scalesLeaveRange(scaleMagnitudes(weight)) ||
    input.least < ORDINARY.leastInput ||
    input.most > ORDINARY.mostInput
  );
}

/** The same of inputs that are normalised, as most of a model's are. */
export function scalesLeaveRange({ least, most }: Magnitudes): boolean {
  return least < ORDINARY.leastScale || most > ORDINARY.mostScale;
}

/** The same of two products with an activation between them, whose inputs are what the first gives. */
export function hiddenLeavesRange(scale: Magnitudes): boolean {
  return scalesLeaveRange(scale) || scale.most > MOST_BEFORE_HIDDEN;
}
