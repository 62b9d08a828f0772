/** One kernel, or anything else that records dispatches, timed on the best clock that the adapter has. */
import { messageOf } from '../core/errors.ts';
import { requireGiven, requireGpu } from '../core/given.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { hostClockStepNs, measureClockStep } from './clock.ts';
import { syncLatency } from './dispatch-probe.ts';
import { sampleTiming, type SamplingOptions, type Stopwatch } from './sampling.ts';
import type { Clock, Timing } from './timing.ts';

/** Records one run. It is called several times per window, so it must not depend on what a run left behind. */
export type Recorder = (commands: CommandList) => void;

/** The clock to measure with on this adapter, examined once. */
export interface BenchClock {
  readonly clock: Clock;
  readonly grainNs: number;
  /** What a reader should know of it, one line. */
  readonly note: string;
}

/** Timestamps where there are any that move, the host's clock otherwise. */
export async function chooseClock(gpu: Gpu): Promise<BenchClock> {
  requireGpu(gpu);
  const step = await measureClockStep(gpu);
  if (step !== undefined) {
    return { clock: 'gpu', grainNs: step.stepNs, note: `GPU timestamps, step ${step.stepNs} ns (measured)` };
  }
  // A host-timed window contains one submission and one wait: they must be small beside it.
  const floor = (await syncLatency(gpu)).median;
  const grainNs = Math.max(
    hostClockStepNs(() => gpu.platform.now()),
    floor / 5,
  );
  const why = gpu.has('timestamp-query') ? 'its timestamps do not move' : 'the adapter has no timestamps';
  return { clock: 'host', grainNs, note: `host clock, since ${why}; submission and wait included` };
}

/**
 * Times what `record` adds to a command list, ns per run. What throws on the way becomes the state `failed`.
 * @throws CancelledError when it was called off. @throws DeviceError when the device is lost or closed.
 */
export async function measureKernel(
  gpu: Gpu,
  record: Recorder,
  clock: BenchClock,
  options: SamplingOptions = {},
): Promise<Timing> {
  requireGpu(gpu);
  requireGiven('record', record, 'function');
  requireGiven('The clock', clock, 'record');
  try {
    return await sampleTiming(stopwatchFor(gpu, record, clock), options);
  } catch (error) {
    gpu.requireUsable();
    return { state: 'failed', reason: messageOf(error) };
  }
}

/** @param counted which kernels count, by the path of their shader; it needs the GPU's clock and a pass for each. */
export function stopwatchFor(gpu: Gpu, record: Recorder, clock: BenchClock, counted?: RegExp): Stopwatch {
  if (counted !== undefined) {
    const window = dispatchWindow(gpu, record, counted);
    return { clock: 'gpu', grainNs: clock.grainNs, window, now: () => gpu.platform.now() };
  }
  const window = clock.clock === 'gpu' ? gpuWindow(gpu, record) : hostWindow(gpu, record);
  return { clock: clock.clock, grainNs: clock.grainNs, window, now: () => gpu.platform.now() };
}

/** All runs in one pass between two timestamps; a recorder that copies makes several passes, whose times add up. */
function gpuWindow(gpu: Gpu, record: Recorder): Stopwatch['window'] {
  return async (repeats) => {
    const commands = gpu.commands('measure', 'span');
    commands.span('measure');
    for (let i = 0; i < repeats; i++) record(commands);
    const spans = await commands.submit().spans();
    gpu.throwPending();
    let total = 0;
    for (const { ns } of spans) {
      if (ns === undefined) return undefined;
      total += ns;
    }
    return total;
  };
}

/** A pass per dispatch; only those of the named shaders add up. */
function dispatchWindow(gpu: Gpu, record: Recorder, counted: RegExp): Stopwatch['window'] {
  return async (repeats) => {
    const commands = gpu.commands('measure', 'dispatch');
    for (let i = 0; i < repeats; i++) record(commands);
    const spans = (await commands.submit().spans()).filter(({ kernel }) => counted.test(kernel ?? ''));
    gpu.throwPending();
    return spans.reduce<number | undefined>(
      (total, { ns }) => (total === undefined || ns === undefined ? undefined : total + ns),
      0,
    );
  };
}

function hostWindow(gpu: Gpu, record: Recorder): Stopwatch['window'] {
  return async (repeats) => {
    const start = gpu.platform.now();
    const commands = gpu.commands('measure');
    for (let i = 0; i < repeats; i++) record(commands);
    commands.submit();
    await gpu.sync();
    return gpu.platform.now() - start;
  };
}
