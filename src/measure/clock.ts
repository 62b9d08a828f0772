/** The step of a clock, found by reading it: every difference of two readings is a multiple of it. */
import { requireGpu } from '../core/given.ts';
import { at, range } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { emptyPipeline } from './dispatch-probe.ts';
import { BUFFER_USAGE, MAP_MODE } from '../gpu/flags.ts';

export interface ClockStep {
  /** Greatest common divisor of all differences: the step when it is a whole number of ns. */
  readonly stepNs: number;
  /** The smallest difference that was seen. */
  readonly smallestNs: number;
  /** Distinct readings. */
  readonly readings: number;
}

/** stepOf([0n, 64n, 64n, 160n]) = {stepNs: 32, smallestNs: 64, readings: 3}; undefined when the clock never moved. */
export function stepOf(readings: readonly bigint[]): ClockStep | undefined {
  const distinct = [...new Set(readings)].sort((a, b) => (a < b ? -1 : 1));
  if (distinct.length < 2) return undefined;
  let divisor = 0n;
  let smallest: bigint | undefined;
  for (let i = 1; i < distinct.length; i++) {
    const difference = at(distinct, i) - at(distinct, i - 1);
    divisor = gcd(divisor, difference);
    if (smallest === undefined || difference < smallest) smallest = difference;
  }
  return { stepNs: Number(divisor), smallestNs: Number(smallest), readings: distinct.length };
}

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

const PASSES = 256;

/** The step of the GPU's timestamps from many tiny passes; undefined when the adapter has no timestamps. */
export async function measureClockStep(gpu: Gpu): Promise<ClockStep | undefined> {
  requireGpu(gpu);
  if (!gpu.has('timestamp-query')) return undefined;
  const { device } = gpu;
  const pipeline = emptyPipeline(device);
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * PASSES });
  const bytes = 16 * PASSES;
  const resolved = device.createBuffer({
    size: bytes,
    usage: BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC,
  });
  const staging = device.createBuffer({
    size: bytes,
    usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
  });
  try {
    const encoder = device.createCommandEncoder({ label: 'clock step' });
    for (const i of range(PASSES)) {
      const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      pass.setPipeline(pipeline);
      // Passes of unequal length, so that the readings don't all fall on multiples of one of them.
      for (let n = 0; n < i % 4; n++) pass.dispatchWorkgroups(1);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, 2 * PASSES, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await gpu.state.wait('Reading times', staging.mapAsync(MAP_MODE.READ), gpu.signal);
    return stepOf([...new BigUint64Array(staging.getMappedRange())]);
  } finally {
    staging.destroy();
    resolved.destroy();
    querySet.destroy();
  }
}

/** A page's clock may stand still for a millisecond: it is read until it has moved so often, or for ever so long. Guesses. */
const [LEAST_MOVES, MOST_READINGS] = [5, 1e6];

/** The step of the host's clock: the smallest positive difference of consecutive readings. */
export function hostClockStepNs(now: () => number, readings = 2000): number {
  let smallest = Infinity;
  let moves = 0;
  let previous = now();
  for (let i = 0; i < readings || (moves < LEAST_MOVES && i < MOST_READINGS); i++) {
    const next = now();
    if (next > previous) {
      smallest = Math.min(smallest, next - previous);
      moves += 1;
    }
    previous = next;
  }
  return Number.isFinite(smallest) ? smallest : 1e6;
}
