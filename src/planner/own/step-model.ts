/**
 * What a step takes on one device that plays all ranks: a curve for each kernel, from kernels that were timed one by one,
 * and what a step and a dispatch cost beyond them, from whole steps. Nothing of the step that is told has been timed.
 */
import { at, sum } from '../../core/math.ts';
import { nonNegativeFit } from './least-squares.ts';

/** What one kernel does in one part of a step: some dispatches, and the cost of that part. */
export interface KernelWork {
  readonly kernel: string;
  /** 'attention', 'all-to-all'. */
  readonly operation: string;
  readonly dispatches: number;
  /** Of the whole operation: rows of all ranks; multiply-adds count 2; every input and output once. */
  readonly rows: number;
  readonly flop: number;
  readonly bytes: number;
}

export interface KernelTime extends KernelWork {
  /** By the device's clock, each dispatch in a pass of its own. */
  readonly ns: number;
}

/** A step that was measured: its kernels one by one, and without instruments. */
export interface CalibrationStep {
  readonly kernels: readonly KernelTime[];
  /** Without instruments, by the host's clock: the fastest, which other programs disturbed the least. */
  readonly wallNs: number;
}

export interface StepModel {
  /** ns from the call to the logits. */
  readonly predict: (kernels: readonly KernelWork[]) => number;
  /** ns of a step whatever it holds, of a dispatch beyond its kernel (or below, in one pass), and for each ns of kernels. */
  readonly overhead: { readonly stepNs: number; readonly dispatchNs: number; readonly perKernelNs: number };
  /** Kernels with a curve of their own. */
  readonly curves: number;
  /** Median relative error of the curves at what they were fitted to. */
  readonly curveError: number;
}

type Curve = (work: KernelWork) => number;

/** Fewer measurements than these give no curve. A guess. */
const LEAST_POINTS = 4;

const termsOf = ({ dispatches, rows, flop, bytes }: KernelWork): number[] => [dispatches, rows, flop, bytes];

/** t = a dispatches + b rows + c FLOP + d bytes, none negative. */
function curveOf(times: readonly KernelTime[]): Curve {
  const factors = nonNegativeFit(
    times.map(termsOf),
    times.map(({ ns }) => ns),
  );
  return (work) => sum(termsOf(work).map((term, i) => term * at(factors, i)));
}

/** @param steps of layouts and batches that are not asked for afterwards. */
export function fitSteps(steps: readonly CalibrationStep[]): StepModel {
  const all = steps.flatMap(({ kernels }) => kernels.filter(({ ns }) => ns > 0));
  const byKernel = groups(all, keyOf);
  const byOperation = groups(all, ({ operation }) => operation);
  const curves = new Map<string, Curve>();
  for (const [key, times] of byKernel) if (times.length >= LEAST_POINTS) curves.set(key, curveOf(times));
  const others = new Map([...byOperation].map(([operation, times]) => [operation, curveOf(times)]));
  const rest = curveOf(all);
  const kernelNs = (work: KernelWork): number =>
    (curves.get(keyOf(work)) ?? others.get(work.operation) ?? rest)(work);
  const total = (kernels: readonly KernelWork[]): number => sum(kernels.map(kernelNs));
  const dispatches = (kernels: readonly KernelWork[]): number => sum(kernels.map((one) => one.dispatches));
  // A dispatch may cost less within a step than in a pass of its own, so its term has either sign.
  const [stepNs = 0, more = 0, less = 0, perKernelNs = 0] = nonNegativeFit(
    steps.map(({ kernels }) => [1, dispatches(kernels), -dispatches(kernels), total(kernels)]),
    steps.map(({ wallNs }) => wallNs),
  );
  const dispatchNs = more - less;
  const errors = all.map((time) => Math.abs(kernelNs(time) / time.ns - 1)).sort((a, b) => a - b);
  return {
    predict: (kernels) => stepNs + dispatchNs * dispatches(kernels) + perKernelNs * total(kernels),
    overhead: { stepNs, dispatchNs, perKernelNs },
    curves: curves.size,
    curveError: at(errors, Math.floor(errors.length / 2)),
  };
}

const keyOf = ({ kernel, operation }: KernelWork): string => `${operation} ${kernel}`;

function groups<T>(values: readonly T[], key: (value: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const value of values) {
    const name = key(value);
    const group = found.get(name);
    if (group === undefined) found.set(name, [value]);
    else group.push(value);
  }
  return found;
}
