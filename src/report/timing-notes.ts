/** What a reader of the table of kernels should know of how they were timed: compiling, drift, cold inputs. */
import type { KernelTiming } from '../bench/kernel-suite.ts';
import type { BenchResult } from '../bench/result.ts';
import { formatBytes, formatNs } from '../core/units.ts';

export function timingNotes({ kernels, canary, cold }: BenchResult): string[] {
  return [...compileNote(kernels), ...driftNote(kernels, canary), ...coldNote(kernels, cold)];
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
  const drifts = kernels.flatMap(({ drift }) => (drift === undefined ? [] : [drift]));
  const limit = `${Math.round(100 * canary.limit)} %`;
  if (drifts.length === 0) return [`Canary: no row beside a drift of more than ${limit}.`];
  const most = Math.max(...drifts.map(({ before, after }) => Math.max(Math.abs(before), Math.abs(after))));
  const again = drifts.filter((drift) => drift.again).length;
  return [
    `~ Canary: beside ${drifts.length} rows a probe that never changes took up to ${Math.round(100 * most)} % more or less ` +
      `time than in the beginning (limit ${limit}): the machine drifts. ${again} of them were measured again, once.`,
  ];
}

function coldNote(kernels: readonly KernelTiming[], cold: BenchResult['cold']): string[] {
  if (cold === null) return [];
  const inputs = kernels.flatMap((kernel) => (kernel.cold === undefined ? [] : [kernel.cold]));
  const copies = inputs.map((input) => input.copies);
  const short = inputs.filter(({ enough }) => !enough).length;
  return [
    `Cold: ${Math.min(...copies)} to ${Math.max(...copies)} copies of a row's inputs and outputs take turns, five times the ` +
      `last-level cache of ${formatBytes(cold.bytes)} (${cold.source})` +
      (short === 0 ? '.' : `; ${short} rows had less, for want of memory.`),
  ];
}
