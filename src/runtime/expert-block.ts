/**
 * residual -> norm -> router, top-k -> plan, permute -> all-to-all -> experts -> all-to-all -> combine -> all-gather.
 * The sizes of the all-to-all are known to the GPU only: nothing is read back.
 */
import type { RowExchange } from '../collectives/transport.ts';
import { at, sum } from '../core/math.ts';
import type { CommandList } from '../gpu/command-list.ts';
import { tileCapacity } from '../kernels/route-plan.ts';
import type { SizedKernels } from './layer-kernels.ts';
import type { StageContext, StageLayer, StageStep } from './stage-context.ts';
import { rowsPerExpert } from './step-plan.ts';
import type { Workspace } from './workspace.ts';

/** One expert-parallel group that has tokens in this micro-batch. */
interface BusyGroup {
  /** Its index in the table of groups. */
  readonly group: number;
  readonly ranks: readonly number[];
  readonly tokens: number;
  /** Rows of its fullest sender. */
  readonly maxRows: number;
  readonly sized: SizedKernels;
}

/** Reads `x` and the attention output; leaves the layer's output in `x` on every member of each TP group. */
export function recordExperts(
  commands: CommandList,
  c: StageContext,
  w: Workspace,
  layer: StageLayer,
  step: StageStep,
  stage: number,
): void {
  const busy = busyGroups(c, step);
  commands.span(`stage ${stage}/route`);
  // A rank without tokens starts every expert at row 0; its peers read that.
  if (step.loads.some(({ share }) => share.count === 0)) commands.clear(w.symmetric('start').buffer);
  for (const group of busy) recordRouting(commands, c, w, layer, step, group);
  commands.span(`stage ${stage}/all-to-all`);
  if (c.layout.spec.ep > 1) {
    const { numExperts } = c.sizes;
    c.transport.allGather(commands, w.symmetric('start'), w.symmetric('starts'), c.epGroups, numExperts + 1);
  }
  for (const group of busy) recordDispatch(commands, c, w, group);
  commands.span(`stage ${stage}/experts`);
  for (const group of busy) recordGemms(commands, w, layer, group);
  if (c.layout.spec.ep > 1) {
    commands.span(`stage ${stage}/all-to-all`);
    for (const group of busy) {
      c.transport.returnRows(
        commands,
        w.symmetric('expertOut'),
        w.symmetric('returned'),
        exchange(c, w, group),
      );
    }
  }
  commands.span(`stage ${stage}/combine`);
  for (const group of busy) recordCombine(commands, c, w, step, group);
  if (c.layout.spec.tp === 1) return;
  commands.span(`stage ${stage}/all-gather`);
  c.transport.allGatherRows(commands, w.symmetric('mixed'), w.symmetric('x'), {
    groups: c.tpGroups,
    shares: step.tables.shares,
    maxRows: Math.max(...step.loads.map((l) => l.numTokens)),
    width: c.sizes.modelDim,
  });
}

function busyGroups({ epGroups, kernels, sizes: z }: StageContext, { loads }: StageStep): BusyGroup[] {
  return epGroups.groups
    .map((ranks, group) => {
      const shares = ranks.map((rank) => at(loads, rank).share.count);
      const tokens = sum(shares);
      const few = rowsPerExpert(tokens, z.topK, z.numExperts) <= 2;
      return {
        group,
        ranks,
        tokens,
        maxRows: Math.max(...shares) * z.topK,
        sized: few ? kernels.few : kernels.many,
      };
    })
    .filter(({ tokens }) => tokens > 0);
}

function recordRouting(
  commands: CommandList,
  { kernels, sizes: z }: StageContext,
  w: Workspace,
  layer: StageLayer,
  step: StageStep,
  { ranks }: BusyGroup,
): void {
  for (const rank of ranks) {
    const { share } = at(step.loads, rank);
    if (share.count === 0) continue;
    const own = w.rank(rank);
    const weights = at(layer.weights, rank);
    kernels.normResidual.record(
      commands,
      { numRows: share.count, residualRow: share.first },
      {
        x: w.symmetric('attended', 'partial').part(rank),
        residual: w.symmetric('x').part(rank),
        weight: weights.expertNorm.data,
        y: own.routed,
        sum: own.sum,
      },
    );
    const { router } = share.count <= 4 ? kernels.few : kernels.many;
    router.record(commands, share.count, {
      x: own.routed,
      gate: weights.gate.data,
      logits: own.logits,
      ids: own.ids,
      scores: own.scores,
    });
    kernels.plan.record(commands, share.count, {
      ids: own.ids,
      start: w.symmetric('start').part(rank),
      slot: own.slot,
      rowToken: own.rowToken,
      scratch: own.planScratch,
    });
    kernels.permute.record(
      commands,
      { numRows: share.count * z.topK, numSource: share.count },
      { x: own.routed, index: own.rowToken, y: w.symmetric('send').part(rank) },
    );
    step.onIds?.(layer.index, rank, own.ids);
  }
}

function recordDispatch(commands: CommandList, c: StageContext, w: Workspace, group: BusyGroup): void {
  const { kernels, sizes: z } = c;
  const { up, down, tileRows } = group.sized;
  const rows = group.tokens * Math.min(z.topK, z.localExperts);
  group.ranks.forEach((rank, member) => {
    const own = w.rank(rank);
    kernels.receivePlan.record(
      commands,
      {
        firstExpert: member * z.localExperts,
        tileRows,
        tileCapacity: tileCapacity(rows, z.localExperts, tileRows),
        columnGroups: up.columnGroups,
        downColumnGroups: down.columnGroups,
      },
      {
        starts: w.symmetric('starts', 'start').part(rank),
        receiveStart: w.symmetric('receiveStart').part(rank),
        tiles: own.tiles,
        grid: own.grid,
      },
    );
  });
  if (c.layout.spec.ep > 1) {
    c.transport.dispatchRows(commands, w.symmetric('send'), w.symmetric('receive'), exchange(c, w, group));
  }
}

function recordGemms(commands: CommandList, w: Workspace, layer: StageLayer, group: BusyGroup): void {
  const { up, down } = group.sized;
  for (const rank of group.ranks) {
    const own = w.rank(rank);
    const weights = at(layer.weights, rank);
    const x = w.symmetric('receive', 'send').part(rank);
    up.record(
      commands,
      { x, w1: weights.w1.data, w3: weights.w3.data, tiles: own.tiles, y: own.hidden },
      own.grid,
    );
    down.record(
      commands,
      { x: own.hidden, w1: weights.w2.data, tiles: own.tiles, y: w.symmetric('expertOut').part(rank) },
      own.grid.view(16),
    );
  }
}

function recordCombine(
  commands: CommandList,
  { kernels }: StageContext,
  w: Workspace,
  step: StageStep,
  { ranks }: BusyGroup,
): void {
  for (const rank of ranks) {
    const own = w.rank(rank);
    kernels.combine.record(commands, at(step.loads, rank).share.count, {
      expertOut: w.symmetric('returned', 'expertOut').part(rank),
      slot: own.slot,
      scores: own.scores,
      residual: own.sum,
      y: w.symmetric('mixed', 'x').part(rank),
    });
  }
}

function exchange(
  { epGroups, sizes: z }: StageContext,
  w: Workspace,
  { group, maxRows }: BusyGroup,
): RowExchange {
  return {
    groups: epGroups,
    group,
    maxRows,
    width: z.modelDim,
    numExperts: z.numExperts,
    localExperts: z.localExperts,
    start: w.symmetric('start'),
    receiveStart: w.symmetric('receiveStart'),
  };
}
