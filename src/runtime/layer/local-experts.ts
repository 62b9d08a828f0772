/**
 * The experts of ranks that own all of them (EP = 1): nobody to send to, so rows are read where the router found them.
 * Few tokens go without a plan; the sizes of many are known to the GPU only, as with an all-to-all.
 */
import { at } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { tileCapacity } from '../../kernels/routing/route-plan.ts';
import type { BusyGroup } from './busy-groups.ts';
import type { LocalKernels } from './kernels.ts';
import type { StageContext, StageLayer, StageStep } from './context.ts';
import type { StageWorkspace } from '../stage-workspace.ts';

/** Reads each rank's routed rows, ids and scores; leaves the layer's output where combine would. */
export function recordLocalExperts(
  commands: CommandList,
  c: StageContext,
  local: LocalKernels,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  busy: readonly BusyGroup[],
  stage: number,
): void {
  for (const { ranks, sized } of busy) {
    for (const rank of ranks) {
      const { count } = at(step.loads, rank).share;
      const own = w.rank(rank);
      const { w1, w2, w3 } = at(layer.weights, rank);
      const y = w.symmetric('mixed', 'x').part(rank);
      const { ids, scores, slot, rowToken, routed, sum } = own;
      const hidden = w.hidden(rank);
      if (local.goesDirect(count)) {
        commands.span(`stage ${stage}/experts`);
        local.direct.record(commands, count, {
          ...{ x: routed, ids, scores, residual: sum, hidden, y },
          ...{ w1, w2, w3 },
        });
        continue;
      }
      const { up, down, tileRows } = sized;
      const tiles = w.symmetric('tiles').part(rank);
      const grid = w.symmetric('grid').part(rank);
      const expertOut = w.symmetric('expertOut').part(rank);
      commands.span(`stage ${stage}/route`);
      local.plan.record(
        commands,
        count,
        {
          tileRows,
          tileCapacity: tileCapacity(count * c.sizes.topK, c.sizes.numExperts, tileRows),
          columnGroups: up.columnGroups,
          downColumnGroups: down.columnGroups,
        },
        {
          ...{ ids, slot, rowToken, tiles, grid, scratch: own.planScratch },
          start: w.symmetric('start').part(rank),
        },
      );
      commands.span(`stage ${stage}/experts`);
      up.record(commands, { x: routed, rowSource: rowToken, w1, w3, tiles, y: hidden }, grid);
      const downGrid = grid.buffer.view(grid.byteOffset + 16, 16);
      down.record(commands, { x: hidden, w1: w2, tiles, y: expertOut }, downGrid);
      commands.span(`stage ${stage}/combine`);
      c.kernels.combine.record(commands, count, { expertOut, slot, scores, residual: sum, y });
    }
  }
}
