/**
 * What a step takes on one device that plays all ranks: a curve for each kernel, from kernels that were timed one by one,
 * and what a step and a dispatch cost beyond them, from whole steps. Nothing of the step that is told has been timed.
 */
import { at, sum } from '../../core/math.ts';
import { nonNegativeFit } from './least-squares.ts';

/** Dispatches of a step that are equal as far as the host knows. */
export interface KernelWork {
  /** The shader. */
  readonly shader: string;
  /** What is compiled in: two dispatches with equal ones run the same machine code. */
  readonly spec: string;
  /** 'attention', 'all-to-all'. */
  readonly operation: string;
  readonly dispatches: number;
  /** What the time of one of them may be in proportion to: 1, workgroups, workgroups times the depth of a product, ... */
  readonly terms: readonly number[];
}

export interface KernelTime extends KernelWork {
  /** Of one of them by the device's clock, in a pass of its own. */
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
  /** ns of the kernels alone, each in a pass of its own. */
  readonly kernelsNs: (kernels: readonly KernelWork[]) => number;
  /** ns of a step whatever it holds, of a dispatch beyond its kernel (or below, in one pass), and for each ns of kernels. */
  readonly overhead: { readonly stepNs: number; readonly dispatchNs: number; readonly perKernelNs: number };
  /** Kernels with a curve of their own. */
  readonly curves: number;
  /** Median relative error of the curves at what they were fitted to. */
  readonly curveError: number;
}

type Curve = (work: KernelWork) => number;

/** Fewer sizes than these give no curve of a spec's own; those of its shader are taken together. A guess. */
const LEAST_SIZES = 3;

/** t = a, b, c, ... times the terms, none negative. */
function curveOf(times: readonly KernelTime[]): Curve {
  const factors = nonNegativeFit(
    times.map(({ terms }) => terms),
    times.map(({ ns }) => ns),
    times.map(({ dispatches }) => Math.sqrt(dispatches)),
  );
  return ({ terms }) => sum(terms.map((term, i) => term * at(factors, i)));
}

/** @param steps of layouts and batches that are not asked for afterwards. */
export function fitSteps(steps: readonly CalibrationStep[]): StepModel {
  const all = steps.flatMap(({ kernels }) => kernels.filter(({ ns }) => ns > 0));
  const ofSpec = new Map<string, Curve>();
  for (const [key, times] of groups(all, specOf)) {
    const sizes = new Set(times.map(({ terms }) => terms.join()));
    if (sizes.size >= LEAST_SIZES) ofSpec.set(key, curveOf(times));
  }
  // A kernel without a curve of its own is told by those of its shader, else of its operation, else by all.
  const ofShader = fallback(all, ({ shader }) => shader);
  const ofOperation = fallback(all, ({ operation }) => operation);
  const ofAny = fallback(all, () => '');
  const one = (work: KernelWork): number =>
    (ofSpec.get(specOf(work)) ?? ofShader(work) ?? ofOperation(work) ?? ofAny(work))?.(work) ?? 0;
  const kernelsNs = (kernels: readonly KernelWork[]): number =>
    sum(kernels.map((work) => work.dispatches * one(work)));
  const dispatches = (kernels: readonly KernelWork[]): number => sum(kernels.map((work) => work.dispatches));
  // A dispatch may cost less within a step than in a pass of its own, so its term has either sign.
  const [stepNs = 0, more = 0, less = 0, perKernelNs = 0] = nonNegativeFit(
    steps.map(({ kernels }) => [1, dispatches(kernels), -dispatches(kernels), kernelsNs(kernels)]),
    steps.map(({ wallNs }) => wallNs),
  );
  const dispatchNs = more - less;
  const errors = all.map((time) => Math.abs(one(time) / time.ns - 1)).sort((a, b) => a - b);
  return {
    predict: (kernels) => stepNs + dispatchNs * dispatches(kernels) + perKernelNs * kernelsNs(kernels),
    kernelsNs,
    overhead: { stepNs, dispatchNs, perKernelNs },
    curves: ofSpec.size,
    curveError: at(errors, Math.floor(errors.length / 2)),
  };
}

/** The curve of those that are alike in something, fitted when it is asked for. */
function fallback(
  all: readonly KernelTime[],
  key: (work: KernelWork) => string,
): (work: KernelWork) => Curve | undefined {
  const known = groups(all, key);
  const fitted = new Map<string, Curve>();
  return (work) => {
    const name = key(work);
    const times = known.get(name);
    if (times === undefined) return undefined;
    const curve = fitted.get(name) ?? curveOf(times);
    fitted.set(name, curve);
    return curve;
  };
}

const specOf = ({ shader, spec }: KernelWork): string => `${shader} ${spec}`;

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
