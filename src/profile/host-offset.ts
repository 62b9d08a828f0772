/**
 * The device's clock on the host's axis. No pass of a list begins before the list was sent, and none ends after the step's
 * result was read: each list bounds the offset from below, the end from above.
 */
import { minOf, maxOf, at } from '../core/math.ts';
import type { StepResult } from '../runtime/engine.ts';

export interface HostOffset {
  /** Host's minus device's clock, ns: the middle of the bounds. */
  readonly ns: number;
  /** It may be wrong by so much, ns. Below 0 the two clocks contradict each other by so much. */
  readonly errorNs: number;
}

/** Undefined without passes. Times of passes count from `originNs` of the device's clock. */
export function hostOffset(
  { spans, submits, host }: Pick<StepResult, 'spans' | 'submits' | 'host'>,
  originNs: bigint,
): HostOffset | undefined {
  const end = host.at(-1)?.endNs;
  const valid = spans.filter(({ ns }) => ns !== undefined);
  if (valid.length === 0 || end === undefined) return undefined;
  const least = maxOf(
    submits.flatMap(({ submittedNs, spans: { first, count } }) =>
      count === 0 ? [] : [submittedNs - Number(at(spans, first).beginNs - originNs)],
    ),
  );
  const most = minOf(valid.map(({ endNs }) => end - Number(endNs - originNs)));
  return { ns: (least + most) / 2, errorNs: (most - least) / 2 };
}
