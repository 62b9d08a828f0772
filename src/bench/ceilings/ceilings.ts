/** The most that this adapter does of one thing, measured by probes. Each is checked before it is timed. */
import { messageOf } from '../../core/errors.ts';
import { requireFields, requireGpu } from '../../core/given.ts';
import { at, maxOf } from '../../core/math.ts';
import { betterPeak } from '../../core/peak.ts';
import { NS_PER_S } from '../../core/units.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { measureKernel, type BenchClock } from '../../measure/stopwatch.ts';
import { broadcastProbes, fmaProbes } from '../../measure/probes/arithmetic.ts';
import { chaseProbes, copyProbes, readProbes, workgroupProbes } from '../../measure/probes/memory.ts';
import {
  probeScale,
  PROBE_UNITS,
  type Probe,
  type ProbeName,
  type ProbeScale,
} from '../../measure/probes/probe.ts';
import type { Clock, Timing } from '../../measure/timing.ts';

interface Probed {
  readonly name: ProbeName;
  /** Bytes of its working set; absent where memory plays no part. */
  readonly footprintBytes?: number;
}

export interface MeasuredCeiling extends Probed {
  readonly state: 'measured';
  /** How the fastest was written, where there was a choice. */
  readonly form?: string;
  /** The best sample: a ceiling is what was reached at least once, and other work on the machine only lowers it. */
  readonly value: number;
  readonly unit: string;
  /** In `unit`, of the fastest form. */
  readonly samples: readonly number[];
  readonly clock: Clock;
}

/** `absent`: this adapter cannot do it, or its clock cannot tell. `failed`: the probe's result was wrong. */
export interface MissingCeiling extends Probed {
  readonly state: 'absent' | 'failed';
  readonly reason: string;
}

/** The most that was reached of one thing, or why there is no number. */
export type Ceiling = MeasuredCeiling | MissingCeiling;

/** One entry per probe and working set. */
export type Ceilings = readonly Ceiling[];

export interface CeilingOptions {
  readonly clock: BenchClock;
  /** Host time for all probes; each runs at least a few times. */
  readonly budgetNs: number;
  readonly scale?: ProbeScale;
  /** Told what is at hand. */
  readonly say?: (text: string) => void;
}

/** Every probe of this project. Those of one name and footprint follow each other: they are forms of the same. */
export function probesFor(scale: ProbeScale): Probe[] {
  return [
    ...fmaProbes('f32', scale),
    ...fmaProbes('f16', scale),
    ...readProbes(scale),
    ...copyProbes(scale),
    ...chaseProbes(scale),
    ...workgroupProbes(scale),
    ...broadcastProbes(scale),
  ];
}

/**
 * Runs every probe, within the host time of `budgetNs` as far as a few samples of each allow, and keeps the best form
 * of each. The device is told its f32 peak (`gpu.peak`).
 */
export async function measureCeilings(gpu: Gpu, options: CeilingOptions): Promise<Ceilings> {
  requireGpu(gpu);
  requireFields('The measurement', options, { clock: 'record' });
  return measureProbes(gpu, probesFor(options.scale ?? probeScale(gpu)), options);
}

/** The f32 peak alone, which the device is told too. */
export async function measurePeak(gpu: Gpu, options: CeilingOptions): Promise<Ceilings> {
  return measureProbes(gpu, fmaProbes('f32', options.scale ?? probeScale(gpu)), options);
}

async function measureProbes(
  gpu: Gpu,
  probes: readonly Probe[],
  { clock, budgetNs, say = () => undefined }: CeilingOptions,
): Promise<Ceilings> {
  const end = gpu.platform.now() + budgetNs;
  const found: Ceiling[] = [];
  for (const [i, probe] of probes.entries()) {
    say(probe.form === undefined ? probe.name : `${probe.name}: ${probe.form}`);
    const share = (end - gpu.platform.now()) / (probes.length - i);
    found.push(await runProbe(gpu, probe, clock, Math.max(0, share)));
  }
  const best = bestOf(found);
  for (const ceiling of best) {
    if (ceiling.name === 'f32 multiply-add' && ceiling.state === 'measured') {
      gpu.peak = betterPeak(gpu.peak, ceiling.value);
    }
  }
  return best;
}

/** Checks, then times. What goes wrong is a result; only a device that is gone, or work that was called off, throws. */
export async function runProbe(
  gpu: Gpu,
  probe: Probe,
  clock: BenchClock,
  budgetNs: number,
): Promise<Ceiling> {
  const { name, footprintBytes, form } = probe;
  const what: Probed = { name, ...(footprintBytes !== undefined && { footprintBytes }) };
  const missing = (probe.features ?? []).filter((feature) => !gpu.has(feature));
  if (missing.length > 0) return { ...what, state: 'absent', reason: `no ${missing.join(', ')}` };
  const end = gpu.platform.now() + budgetNs;
  try {
    const prepared = await probe.prepare(gpu);
    try {
      const commands = gpu.commands(`probe/${name}`);
      prepared.record(commands);
      commands.submit();
      const wrong = await prepared.verify();
      gpu.throwPending();
      if (wrong !== undefined) return { ...what, state: 'failed', reason: wrong };
      const timing = await measureKernel(gpu, (list) => prepared.record(list), clock, {
        // No precision ends it early: one undisturbed sample is worth more than many that agree.
        ...{ budgetNs: end - gpu.platform.now(), minSamples: 3, maxSamples: 100, precision: 0 },
      });
      return ceilingOf({ ...what, ...(form !== undefined && { form }) }, timing, prepared.work);
    } finally {
      prepared.destroy();
    }
  } catch (error) {
    gpu.requireUsable();
    return { ...what, state: 'failed', reason: messageOf(error) };
  }
}

function ceilingOf(what: Probed & { readonly form?: string }, timing: Timing, work: number): Ceiling {
  switch (timing.state) {
    case 'measured': {
      const samples = timing.samplesNs.map((ns) => (work * NS_PER_S) / ns);
      const { clock } = timing;
      return {
        ...what,
        state: 'measured',
        value: maxOf(samples),
        unit: PROBE_UNITS[what.name],
        samples,
        clock,
      };
    }
    case 'too-fine':
      return { ...what, state: 'absent', reason: 'the clock is too coarse' };
    case 'failed':
    case 'skipped':
      return { ...what, state: 'failed', reason: timing.reason };
  }
}

/**
 * One ceiling per name and footprint, in the order of first appearance: a wrong result if there is one, or else the
 * highest. It also joins two rounds of the same probes.
 */
export function bestOf(found: Ceilings): Ceilings {
  const keys = [...new Set(found.map(keyOf))];
  return keys.map((key) => {
    const same = found.filter((ceiling) => keyOf(ceiling) === key);
    const failed = same.find(({ state }) => state === 'failed');
    if (failed !== undefined) return failed;
    return same.reduce((a, b) => (valueOf(b) > valueOf(a) ? b : a), at(same, 0));
  });
}

function keyOf({ name, footprintBytes = 0 }: Ceiling): string {
  return `${name} ${footprintBytes}`;
}

function valueOf(ceiling: Ceiling): number {
  return ceiling.state === 'measured' ? ceiling.value : -1;
}
