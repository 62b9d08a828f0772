/** Timed kernels beside the roofline. What is faster than possible is an error, not a record. */
import { formatBytes } from '../../core/units.ts';
import type { Ceilings } from './ceilings.ts';
import type { KernelTiming } from '../kernels/suite.ts';
import { aboveRoofText, isAboveRoof, rooflineShare } from './roofline.ts';
import { relativeHalfWidth, summarise } from '../../measure/statistics.ts';

/** Every measured row with its share of the roofline; one above it has failed and loses its rates. */
export function holdToRoof(kernels: readonly KernelTiming[], ceilings: Ceilings): KernelTiming[] {
  return kernels.map((kernel) => {
    const { timing, flops, bytes } = kernel;
    if (timing.state !== 'measured') return kernel;
    const summary = summarise(timing.samplesNs);
    const cost = { flops, bytes };
    const roof = rooflineShare(ceilings, cost, summary.median);
    if (roof === undefined) return kernel;
    if (!isAboveRoof(roof, relativeHalfWidth(summary))) return { ...kernel, roof };
    const reason = aboveRoofText(ceilings, cost, summary.median, roof);
    const failed: KernelTiming & { flopsPerSecond?: number; bytesPerSecond?: number } = {
      ...kernel,
      timing: { state: 'failed', reason },
    };
    delete failed.flopsPerSecond;
    delete failed.bytesPerSecond;
    return failed;
  });
}

/** Whether a row would fail: then the ceilings deserve a second look, since other work may have pressed them down. */
export function anyAboveRoof(kernels: readonly KernelTiming[], ceilings: Ceilings): boolean {
  const states = (rows: readonly KernelTiming[]): string[] => rows.map(({ timing }) => timing.state);
  const before = states(kernels);
  return states(holdToRoof(kernels, ceilings)).some((state, i) => state !== before[i]);
}

/** 'probe storage read, 16 KiB: element 3 is 0, not 12' for every probe whose result was wrong. */
export function ceilingFailures(ceilings: Ceilings): string[] {
  return ceilings.flatMap((ceiling) =>
    ceiling.state === 'failed'
      ? [
          `probe ${ceiling.name}${ceiling.footprintBytes === undefined ? '' : `, ${formatBytes(ceiling.footprintBytes)}`}: ${ceiling.reason}`,
        ]
      : [],
  );
}
