/** Which expert-parallel groups have something to do in a micro-batch: the others record nothing. */
import { at, maxOf, sum } from '../../core/math.ts';
import type { ExchangeGroup } from '../../routed/exchanged.ts';
import type { ExpertContext, ExpertStep } from './context.ts';
import { busyRun } from '../step/plan.ts';

export function busyGroups({ epGroups }: ExpertContext, { loads }: ExpertStep): ExchangeGroup[] {
  return epGroups.groups
    .map((ranks, group) => {
      const shares = ranks.map((rank) => at(loads, rank).share.count);
      return { group, ranks, tokens: sum(shares), maxTokens: maxOf(shares), sources: busyRun(shares) };
    })
    .filter(({ tokens }) => tokens > 0);
}
