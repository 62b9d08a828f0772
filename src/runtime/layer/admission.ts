/**
 * Choices to slots between the router and the plan: experts that lie anywhere, capacities, and a bias that follows the load. The
 * host waits for nothing.
 */
import { local, type Recorded } from '../../collectives/segments.ts';
import { at } from '../../core/math.ts';
import type { ExchangeGroup } from '../../routed/exchanged.ts';
import type { StageWorkspace } from '../stage-workspace.ts';
import type { ExpertContext, ExpertLayer, ExpertStep } from './context.ts';

/** The slots of one layer's choices, group by group, and its bias for the next step. Nothing without an admission. */
export function admissionSegments(
  c: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
  busy: readonly ExchangeGroup[],
): Recorded[] {
  const { admission } = c.kernels;
  const { places } = c;
  const { admission: loads } = step.tables;
  if (admission === undefined || places === undefined || loads === undefined) return [];
  const work = w.symmetric('admission');
  return [
    local('route', (commands) => {
      for (const { group, ranks } of busy) {
        const part = { firstMember: at(c.epGroups.firstMember, group), groupSize: ranks.length };
        const tensors = {
          ...{ members: c.epGroups.members, loads, places, work },
          ...{ ids: w.symmetric('ids'), scores: w.symmetric('scores'), slots: w.symmetric('slots') },
          logits: c.sizes.admission?.asks ? w.symmetric('logits') : undefined,
        };
        admission.admit.record(commands, part, tensors, c.sizes.sendRows);
      }
      for (const rank of busy.flatMap(({ ranks }) => ranks)) {
        step.onSlots?.(commands, layer.index, rank, w.symmetric('slots').part(rank));
      }
      const { bias } = layer;
      if (bias === undefined) return;
      admission.bias?.record(
        commands,
        c.sizes.numRanks,
        step.isLast,
        { loads, work, ...bias },
        step.biasRate,
      );
    }),
  ];
}
