/** Which expert-parallel groups have something to do in a micro-batch: the others record nothing. */
import { at, maxOf, sum } from '../../core/math.ts';
import type { Run } from '../../layout/layout.ts';
import { sizedFor, type SizedKernels } from './kernels.ts';
import type { StageContext, StageStep } from './context.ts';
import { busyRun, rowsPerExpert } from '../step/plan.ts';

/** One expert-parallel group that has tokens in this micro-batch. */
export interface BusyGroup {
  /** Its index in the table of groups. */
  readonly group: number;
  readonly ranks: readonly number[];
  readonly tokens: number;
  /** Rows of its fullest sender. */
  readonly maxRows: number;
  /** The run of its members outside of which none has rows to send. */
  readonly sources: Run;
  readonly sized: SizedKernels;
}

export function busyGroups({ epGroups, kernels, sizes: z }: StageContext, { loads }: StageStep): BusyGroup[] {
  return epGroups.groups
    .map((ranks, group) => {
      const shares = ranks.map((rank) => at(loads, rank).share.count);
      const tokens = sum(shares);
      return {
        group,
        ranks,
        tokens,
        maxRows: maxOf(shares) * z.topK,
        sources: busyRun(shares),
        sized: sizedFor(kernels, rowsPerExpert(tokens, z.topK, z.numExperts)),
      };
    })
    .filter(({ tokens }) => tokens > 0);
}
