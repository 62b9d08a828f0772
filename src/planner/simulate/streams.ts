/**
 * Two half batches on two streams of a rank: while one computes, rows of the other travel (two-batch overlap, as DeepSeek and
 * SGLang do it). One compute stream, one communication stream; each does its operations in a fixed order, one at a time.
 */
import { at, range } from '../../core/math.ts';

/** us of one layer's operations for one half batch, in the order of the layer. */
export interface HalfLayer {
  readonly attention: number;
  readonly dispatch: number;
  readonly experts: number;
  readonly combine: number;
}

/** An operation as it ran. */
export interface StreamSlice {
  readonly stream: 'compute' | 'communication';
  readonly operation: keyof HalfLayer;
  readonly layer: number;
  readonly half: 0 | 1;
  readonly beginUs: number;
  readonly endUs: number;
}

const OPERATIONS = ['attention', 'dispatch', 'experts', 'combine'] as const;
const STREAM_OF = {
  attention: 'compute',
  dispatch: 'communication',
  experts: 'compute',
  combine: 'communication',
} as const;

/**
 * Both halves through all layers. An operation begins when the one before it of its half, and the one before it on its
 * stream, have ended; on each stream the halves take turns.
 */
export function twoBatchSchedule(half: HalfLayer, layers: number): StreamSlice[] {
  const slices: StreamSlice[] = [];
  const freeUs = { compute: 0, communication: 0 };
  const readyUs = [0, 0];
  for (const layer of range(layers)) {
    for (const operation of OPERATIONS) {
      const stream = STREAM_OF[operation];
      for (const h of [0, 1] as const) {
        const beginUs = Math.max(freeUs[stream], at(readyUs, h));
        const endUs = beginUs + half[operation];
        slices.push({ stream, operation, layer, half: h, beginUs, endUs });
        freeUs[stream] = endUs;
        readyUs[h] = endUs;
      }
    }
  }
  return slices;
}

/** Layers that are run before the rhythm of the rest is known: a property test holds it against all of them. */
const RUN_IN = 6;

/**
 * us of communication that nothing hides: the end of both halves less what they compute. `twoBatchSchedule` without its
 * slices, by hand: a search asks it for millions of steps.
 */
export function exposedUs({ attention, dispatch, experts, combine }: HalfLayer, layers: number): number {
  const run = Math.min(layers, RUN_IN);
  // When the streams and the halves are free.
  let [compute, communication, first, second] = [0, 0, 0, 0];
  let [end, before] = [0, 0];
  for (let layer = 0; layer < run; layer++) {
    first = compute = (compute > first ? compute : first) + attention;
    second = compute = (compute > second ? compute : second) + attention;
    first = communication = (communication > first ? communication : first) + dispatch;
    second = communication = (communication > second ? communication : second) + dispatch;
    first = compute = (compute > first ? compute : first) + experts;
    second = compute = (compute > second ? compute : second) + experts;
    first = communication = (communication > first ? communication : first) + combine;
    second = communication = (communication > second ? communication : second) + combine;
    before = end;
    end = first > second ? first : second;
  }
  const rhythm = run > 1 ? end - before : 0;
  return Math.max(0, end + (layers - run) * rhythm - 2 * layers * (attention + experts));
}
