/** What a reader of the table of kernels should know of how they were timed: compiling, drift, cold inputs. */
import { maxOf, minOf } from '../../../core/math.ts';
import type { KernelTiming } from '../../../bench/kernels/suite.ts';
import { OTHERS_LIMIT, STEAL_LIMIT } from '../../../measure/load.ts';
import type { BenchResult } from '../../../bench/result.ts';
import { formatBytes, formatNs, roundPercent } from '../../../core/units.ts';

export function timingNotes({ kernels, rounds, canary, load, cold }: BenchResult): string[] {
  return [
    ...(rounds === null
      ? []
      : [
          `Each row had a short burst in each of ${rounds.count} rounds, in an order drawn anew (seed ${rounds.seed}); a round is ` +
            'one sample, and +- (on wide screens) half of the 95 % interval of their median.',
        ]),
    ...compileNote(kernels),
    ...driftNote(kernels, canary),
    ...busyNote(canary, load),
    ...coldNote(kernels, cold),
  ];
}

/** Whether something else kept the machine busy all along: then no mark of a row tells it. */
function busyNote(canary: BenchResult['canary'], load: BenchResult['load']): string[] {
  const signs = [
    ...(canary?.spread != null && canary.spread > canary.spreadLimit
      ? [`the middle half of the canary's readings spreads over ${roundPercent(canary.spread)}`]
      : []),
    ...(load !== null && load.othersShare > OTHERS_LIMIT
      ? [`other processes took ${roundPercent(load.othersShare)} of ${load.cores} cores`]
      : []),
    ...(load?.stealShare != null && load.stealShare > STEAL_LIMIT
      ? [`other machines took ${roundPercent(load.stealShare)} of the cores (steal)`]
      : []),
  ];
  if (signs.length === 0) return [];
  return [
    `THE MACHINE WAS BUSY THROUGHOUT: ${signs.join('; ')}. Times are of a busy machine: run it again on a quiet one.`,
  ];
}

function compileNote(kernels: readonly KernelTiming[]): string[] {
  const compiled = kernels
    .map(({ family, variant, compileNs = 0, firstUseNs = 0 }) => ({
      family,
      variant,
      ns: compileNs + firstUseNs,
    }))
    .sort((a, b) => b.ns - a.ns);
  const [slowest] = compiled;
  if (slowest === undefined || slowest.ns === 0) return [];
  return [
    `Compiling comes before and is in no time: at most ${formatNs(slowest.ns)} ` +
      `(${slowest.family}, ${slowest.variant}: pipelines, and what their first run took more than the next).`,
  ];
}

function driftNote(kernels: readonly KernelTiming[], canary: BenchResult['canary']): string[] {
  if (canary === null) return [];
  const marked = kernels.flatMap(({ drift }) => (drift?.marked ? [drift] : []));
  const limit = roundPercent(canary.driftLimit);
  if (marked.length === 0)
    return [`Canary: no row beside a drift of more than ${limit} in half of its rounds.`];
  const most = maxOf(marked.map(({ worst }) => Math.abs(worst)));
  return [
    `~ Canary: beside ${marked.length} of ${kernels.length} rows a probe that never changes took up to ${roundPercent(most)} more or less ` +
      `time than shortly before and after, in half of the rounds or more (limit ${limit}).`,
  ];
}

function coldNote(kernels: readonly KernelTiming[], cold: BenchResult['cold']): string[] {
  if (cold === null) return [];
  const inputs = kernels.flatMap((kernel) => (kernel.cold === undefined ? [] : [kernel.cold]));
  const copies = inputs.map((input) => input.copies);
  const short = inputs.filter(({ enough }) => !enough).length;
  return [
    `Cold: ${minOf(copies)} to ${maxOf(copies)} copies of a row's inputs and outputs take turns, five times the ` +
      `last-level cache of ${formatBytes(cold.bytes)} (${cold.source})` +
      (short === 0 ? '.' : `; ${short} rows had less, for want of memory.`),
  ];
}
