/**
 * What a row should give, in float64, and how near a contestant came. Rows of an output that do not depend on each
 * other are checked by sample when all of them would take minutes; every element must be a number all the same.
 */
import { at } from '../../src/core/math.ts';
import type { Expected } from '../../src/ops/op.ts';
import type { Budget } from '../../src/tensor/compare.ts';
import type { Outputs } from './contestants/contestant.ts';

export interface Truth {
  readonly output: string;
  /** Elements of the whole output. */
  readonly length: number;
  /** Elements of a row; `values` holds the rows of `rows`, one after the other. */
  readonly width: number;
  readonly rows: readonly number[];
  readonly values: Float64Array;
  readonly budget: Budget;
}

/** `exact`: as f32 arithmetic gives it. `close`: within the contestant's tolerance. Else `wrong`. */
export type Quality = 'exact' | 'close' | 'wrong';

export interface Finding {
  readonly quality: Quality;
  /** Largest error over the root mean square of the output, of all outputs. */
  readonly error: number;
  /** What is wrong, in words; absent when nothing is. */
  readonly message?: string;
}

/** The truth of whole outputs. */
export function wholeTruth(expected: ReadonlyMap<string, Expected>): Truth[] {
  return [...expected].map(([output, { values, budget }]) => ({
    ...{ output, length: values.length, width: values.length, rows: [0], values, budget },
  }));
}

/** `count` rows of `numRows`, the first and the last among them, the rest spread over all remainders. */
export function sampledRows(numRows: number, count: number): number[] {
  if (numRows <= count) return Array.from({ length: numRows }, (_, i) => i);
  return Array.from({ length: count }, (_, i) => Math.round((i * (numRows - 1)) / (count - 1)));
}

/** No f32 arithmetic on a row's inputs is off by so much. */
const FEW_BITS = 1e-3;

/** @param tolerance error that is put down to the contestant's number formats, as a share of the root mean square. */
export function examine(outputs: Outputs, truths: readonly Truth[], tolerance: number): Finding {
  let worst: Finding = { quality: 'exact', error: 0 };
  for (const truth of truths) {
    const found = examineOne(outputs.get(truth.output), truth, tolerance);
    const order: readonly Quality[] = ['exact', 'close', 'wrong'];
    const quality = order[Math.max(order.indexOf(worst.quality), order.indexOf(found.quality))] ?? 'wrong';
    const message = worst.message ?? found.message;
    worst = {
      ...{ quality, error: Math.max(worst.error, found.error) },
      ...(message !== undefined && { message }),
    };
  }
  return worst;
}

function examineOne(got: Float64Array | undefined, truth: Truth, tolerance: number): Finding {
  const wrong = (message: string, error = Infinity): Finding => ({ quality: 'wrong', error, message });
  const { output, length, width, rows, values, budget } = truth;
  if (got === undefined) return wrong(`there is no output ${output}`);
  if (got.length !== length) return wrong(`${output} has ${got.length} elements, not ${length}`);
  const unfit = got.findIndex((value) => !Number.isFinite(value));
  if (unfit >= 0) return wrong(`${output}[${unfit}] is ${at(got, unfit)}`);

  let squares = 0;
  for (const value of values) squares += value * value;
  const scale = Math.sqrt(squares / Math.max(1, values.length)) || 1;
  let [worst, worstAt, over] = [0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    const place = at(rows, Math.floor(i / width)) * width + (i % width);
    const want = at(values, i);
    const error = Math.abs(at(got, place) - want);
    const allowed =
      'perElement' in budget ? at(budget.perElement, i) : budget.atol + budget.rtol * Math.abs(want);
    if (!(error <= allowed)) over += 1;
    if (!(error <= worst)) [worst, worstAt] = [error, i];
  }
  const error = worst / scale;
  // Bounds for the worst case are wide for long sums: what is within them may still come from fewer bits.
  if (over === 0) return { quality: error <= FEW_BITS ? 'exact' : 'close', error };
  if (error <= tolerance) return { quality: 'close', error };
  const place = at(rows, Math.floor(worstAt / width)) * width + (worstAt % width);
  return wrong(`${output}[${place}] is ${at(got, place)}, not ${at(values, worstAt)}`, error);
}
