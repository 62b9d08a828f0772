/**
 * Whether time grows with size as it should: least squares of ln(time) against ln(size), on the sizes where the work
 * and not its launch takes the time. All sizes of a series are checked, then timed in turn; the least time of each
 * counts, since other work on the machine only adds.
 */
import { linearRegression, linearRegressionLine, min, rSquared } from 'simple-statistics';
import { at, minOf } from '../../core/math.ts';
import { messageOf } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { PreparedOp } from '../../ops/op.ts';
import { spotChecked } from '../../validate/spot-check.ts';
import { subjectCase } from '../../validate/draw/subject.ts';
import { stopwatchFor, type BenchClock } from '../../measure/stopwatch.ts';
import type { GrowthSeries } from './growth-series.ts';
import { SILENT, type Progress } from '../progress.ts';
import { sampleInTurn } from '../../measure/sampling.ts';
import { timedCheck } from '../kernels/timed-check.ts';
import type { Timing } from '../../measure/timing.ts';

export interface GrowthPoint {
  readonly size: number;
  readonly timing: Timing;
  /** The least sample; absent without any. */
  readonly leastNs?: number;
  /** Whether the fit rests on it. */
  readonly fitted: boolean;
}

export interface Fit {
  readonly exponent: number;
  readonly rSquared: number;
}

export interface GrowthResult {
  readonly name: string;
  readonly variable: string;
  readonly what: string;
  readonly expected: number;
  readonly tolerance: number;
  readonly rule: string;
  readonly points: readonly GrowthPoint[];
  readonly fit?: Fit;
  /** `unfit`: too few sizes rise above the launch to say anything. */
  readonly verdict: 'as expected' | 'unexpected' | 'unfit' | 'failed';
  readonly reason: string;
}

/** A size counts when it takes so many times what the smallest takes. A guess. */
const ABOVE_LAUNCH = 4;
/** Two points lie on any line; three show whether they do. */
const LEAST_POINTS = 3;
/** Of the sizes that count, the largest: caches and launches bend the lower end. A guess. */
const MOST_POINTS = 5;

/** fitPower([1, 2, 4], [10, 20, 40]) has the exponent 1. */
export function fitPower(sizes: readonly number[], times: readonly number[]): Fit {
  const points = sizes.map((size, i) => [Math.log(size), Math.log(at(times, i))]);
  const line = linearRegression(points);
  return { exponent: line.m, rSquared: rSquared(points, linearRegressionLine(line)) };
}

/** Which sizes the fit rests on, and why. */
export function fittedSizes(
  series: Pick<GrowthSeries, 'expected' | 'from' | 'upTo'>,
  points: readonly { readonly size: number; readonly leastNs: number }[],
): { readonly sizes: readonly number[]; readonly rule: string } {
  const { expected, from = 0, upTo = Infinity } = series;
  if (expected === 0) {
    const sizes = points.map(({ size }) => size).filter((size) => size <= upTo);
    return { sizes, rule: `sizes up to ${upTo}` };
  }
  const floor = ABOVE_LAUNCH * minOf(points.map(({ leastNs }) => leastNs));
  // All sizes after the last one that is too short: none in between is left out for being fast.
  const begin = points.findLastIndex(({ size, leastNs }) => size < from || !(leastNs >= floor)) + 1;
  const sizes = points.slice(begin).map(({ size }) => size);
  const least = from === 0 ? '' : ` from ${from} on`;
  return {
    sizes: sizes.slice(-MOST_POINTS),
    rule: `the last ${MOST_POINTS} of the sizes${least} that take at least ${ABOVE_LAUNCH} times the least`,
  };
}

export async function measureGrowth(
  gpu: Gpu,
  series: readonly GrowthSeries[],
  clock: BenchClock,
  budgetNs: number,
  progress: Progress = SILENT,
): Promise<GrowthResult[]> {
  const results: GrowthResult[] = [];
  for (const one of series) {
    results.push(
      await progress.step(
        `${one.name}: ${one.variable} from ${at(one.sizes, 0)} to ${one.sizes.at(-1)}`,
        (say) => growthOf(gpu, one, clock, budgetNs / series.length, say),
        ({ fit, verdict }) =>
          fit === undefined ? verdict : `exponent ${fit.exponent.toFixed(2)}, ${verdict}`,
      ),
    );
  }
  return results;
}

async function growthOf(
  gpu: Gpu,
  series: GrowthSeries,
  clock: BenchClock,
  budgetNs: number,
  say: (text: string) => void,
): Promise<GrowthResult> {
  const { name, variable, what, expected, tolerance, sizes, subject, counted } = series;
  const facts = { name, variable, what, expected, tolerance };
  const failed = (reason: string): GrowthResult => ({
    ...facts,
    rule: '',
    points: [],
    verdict: 'failed',
    reason,
  });
  if (counted !== undefined && clock.clock === 'host') {
    return { ...failed('single kernels need GPU timestamps'), verdict: 'unfit' };
  }
  const prepared: PreparedOp[] = [];
  try {
    for (const size of sizes) {
      say(`check ${variable} = ${size}`);
      const kernelCase = subjectCase(subject(size));
      const { result } = await timedCheck(gpu, spotChecked(kernelCase));
      if (!result.pass) return failed(`${variable} = ${size}: ${result.message}`);
      prepared.push(await kernelCase.prepare(gpu));
    }
    say('time all sizes in turn');
    const watches = prepared.map((one) => stopwatchFor(gpu, (list) => one.record(list), clock, counted));
    const timings = await sampleInTurn(watches, { minSamples: 4, maxSamples: 15, precision: 0.02, budgetNs });
    return { ...facts, ...judgeGrowth(series, timings) };
  } catch (error) {
    gpu.requireUsable();
    return failed(messageOf(error));
  } finally {
    for (const one of prepared) one.destroy();
  }
}

/** What the times of all sizes say of a series. */
export function judgeGrowth(
  series: GrowthSeries,
  timings: readonly Timing[],
): Pick<GrowthResult, 'points' | 'fit' | 'verdict' | 'reason' | 'rule'> {
  const { sizes, expected, tolerance, variable } = series;
  const measured = sizes.flatMap((size, i) => {
    const timing = at(timings, i);
    return timing.state === 'measured' ? [{ size, leastNs: min([...timing.samplesNs]) }] : [];
  });
  const chosen = measured.length === 0 ? { sizes: [], rule: '' } : fittedSizes(series, measured);
  const fitted = measured.filter(({ size }) => chosen.sizes.includes(size));
  const points = sizes.map((size, i): GrowthPoint => {
    const found = measured.find((point) => point.size === size);
    const known = found === undefined ? {} : { leastNs: found.leastNs };
    return { size, timing: at(timings, i), ...known, fitted: chosen.sizes.includes(size) };
  });
  if (fitted.length < LEAST_POINTS) {
    const reason = `${fitted.length} sizes rise above the launch, ${LEAST_POINTS} are needed`;
    return { points, verdict: 'unfit', reason, rule: chosen.rule };
  }
  const fit = fitPower(
    fitted.map(({ size }) => size),
    fitted.map(({ leastNs }) => leastNs),
  );
  const off = Math.abs(fit.exponent - expected);
  const verdict = off <= tolerance ? 'as expected' : 'unexpected';
  const bound = `${expected} +- ${tolerance}`;
  const reason = `exponent ${fit.exponent.toFixed(2)} of ${variable}, expected ${bound}, over ${chosen.sizes.join(', ')}`;
  return { points, fit, verdict, reason, rule: chosen.rule };
}
