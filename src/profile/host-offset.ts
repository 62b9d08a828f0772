/**
 * The device's clock on the host's axis. No pass of a list begins before the list was sent, and none ends after its
 * result was read: each list bounds the offset from below and from above, and it lies within the bounds of all of them.
 */
import type { SpanTime } from '../gpu/span-timer.ts';
import { at } from '../core/math.ts';
import type { SubmitTimes } from '../runtime/step/timed-lists.ts';

export interface HostOffset {
  /** Host's minus device's clock, ns: the middle of the bounds. */
  readonly ns: number;
  /** It may be wrong by so much, ns. Below 0 the two clocks contradict each other by so much. */
  readonly errorNs: number;
}

export interface DeviceAxis {
  /** Where times of the device are counted from: they may be too large for a double. */
  readonly originNs: bigint;
  /** Undefined without passes. */
  readonly offset: HostOffset | undefined;
}

/** Passes, and between which moments their lists ran. */
export interface Bounded {
  readonly spans: readonly Pick<SpanTime, 'ns' | 'beginNs' | 'endNs'>[];
  readonly submits: readonly SubmitTimes[];
}

/** What the lists of all of `runs` allow, of one device. */
export function deviceAxis(runs: readonly Bounded[]): DeviceAxis {
  const originNs = runs.find(({ spans }) => spans.length > 0)?.spans[0]?.beginNs ?? 0n;
  let [least, most] = [-Infinity, Infinity];
  for (const { spans, submits } of runs) {
    for (const { submittedNs, doneNs, spans: own } of submits) {
      for (let i = own.first; i < own.first + own.count; i++) {
        const { ns, beginNs, endNs } = at(spans, i);
        if (ns === undefined) continue;
        least = Math.max(least, submittedNs - Number(beginNs - originNs));
        most = Math.min(most, doneNs - Number(endNs - originNs));
      }
    }
  }
  const known = least > -Infinity && most < Infinity;
  return { originNs, offset: known ? { ns: (least + most) / 2, errorNs: (most - least) / 2 } : undefined };
}

/** The axis of one run by the bounds of all, or by its own where they contradict each other: a clock was set meanwhile. */
export function axisOf(run: readonly Bounded[], all: readonly Bounded[]): DeviceAxis {
  const joint = deviceAxis([...run, ...all]);
  return joint.offset !== undefined && joint.offset.errorNs < 0 ? deviceAxis(run) : joint;
}

/** A moment of the device on the host's axis, ns. */
export function onHost({ originNs, offset }: DeviceAxis, deviceNs: bigint): number {
  return Number(deviceNs - originNs) + (offset?.ns ?? 0);
}
