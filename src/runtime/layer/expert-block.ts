/**
 * residual -> norm -> router, top-k -> plan, permute -> all-to-all -> experts -> all-to-all -> combine -> all-gather.
 * The sizes of the all-to-all are known to the GPU only: nothing is read back.
 */
import type { RowExchange } from '../../collectives/transport.ts';
import { invariant } from '../../core/errors.ts';
import { at, maxOf, minOf } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { tileCapacity } from '../../kernels/routing/route-plan.ts';
import { busyGroups, type BusyGroup } from './busy-groups.ts';
import { type ExchangeKernels, sizedFor } from './kernels.ts';
import { recordLocalExperts } from './local-experts.ts';
import type { StageContext, StageLayer, StageStep } from './context.ts';
import { busyRun } from '../step/plan.ts';
import type { StageWorkspace } from '../stage-workspace.ts';

/** Reads `x` and the attention output; leaves the layer's output in `x` on every member of each TP group. */
export function recordExperts(
  commands: CommandList,
  c: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  stage: number,
): void {
  const busy = busyGroups(c, step);
  commands.span(`stage ${stage}/route`);
  for (const { ranks } of busy) recordRouters(commands, c, w, layer, step, ranks);
  const { local, exchange } = c.kernels;
  if (local !== undefined) recordLocalExperts(commands, c, local, w, layer, step, busy, stage);
  if (exchange !== undefined) recordExchanged(commands, c, exchange, w, layer, step, busy, stage);
  if (c.layout.spec.tp === 1) return;
  commands.span(`stage ${stage}/all-gather`);
  c.transport.allGatherRows(commands, w.symmetric('mixed'), w.symmetric('x'), {
    groups: c.tpGroups,
    shares: step.tables.shares,
    ranks: busyRun(step.loads.map(({ numTokens }) => numTokens)),
    maxRows: maxOf(step.loads.map((l) => l.numTokens)),
    width: c.sizes.modelDim,
  });
}

/** Plan, permutation, all-to-all, experts, all-to-all back, combine. */
function recordExchanged(
  commands: CommandList,
  c: StageContext,
  kernels: ExchangeKernels,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  busy: readonly BusyGroup[],
  stage: number,
): void {
  // A rank without tokens starts every expert at row 0; its peers read that, and layers do not change it.
  if (layer.first && step.loads.some(({ share }) => share.count === 0)) {
    commands.clear(w.symmetric('start').buffer);
  }
  for (const { ranks } of busy) recordSends(commands, c, kernels, w, step, ranks);
  commands.span(`stage ${stage}/all-to-all`);
  const { numExperts } = c.sizes;
  const receivers = busy.flatMap(({ ranks }) => [...ranks]);
  const [first, last] = [minOf(receivers), maxOf(receivers)];
  c.transport.allGather(commands, w.symmetric('start'), w.symmetric('starts'), c.epGroups, numExperts + 1, {
    first,
    count: last - first + 1,
  });
  for (const group of busy) recordDispatch(commands, c, kernels, w, group);
  commands.span(`stage ${stage}/experts`);
  for (const group of busy) recordGemms(commands, c, w, layer, group);
  commands.span(`stage ${stage}/all-to-all`);
  for (const group of busy) {
    c.transport.returnRows(
      commands,
      w.symmetric('expertOut'),
      w.symmetric('returned'),
      exchangeOf(c, w, group),
    );
  }
  commands.span(`stage ${stage}/combine`);
  for (const group of busy) recordCombine(commands, c, w, step, group);
}

/** Residual, norm and the choice of experts of every rank that has tokens. */
function recordRouters(
  commands: CommandList,
  { kernels }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  ranks: readonly number[],
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
        weight: weights.expertNorm,
        y: own.routed,
        sum: own.sum,
      },
    );
    const { router } = sizedFor(kernels, share.count);
    router.record(commands, share.count, {
      x: own.routed,
      gate: weights.gate,
      logits: own.logits,
      ids: own.ids,
      scores: own.scores,
    });
    step.onIds?.(layer.index, rank, own.ids);
  }
}

/** Rows in the order of their experts, ready to be sent. */
function recordSends(
  commands: CommandList,
  { sizes: z }: StageContext,
  { plan, permute }: ExchangeKernels,
  w: StageWorkspace,
  step: StageStep,
  ranks: readonly number[],
): void {
  for (const rank of ranks) {
    const { share } = at(step.loads, rank);
    if (share.count === 0) continue;
    const own = w.rank(rank);
    plan.record(commands, share.count, {
      ids: own.ids,
      start: w.symmetric('start').part(rank),
      slot: own.slot,
      rowToken: own.rowToken,
      scratch: own.planScratch,
    });
    permute.record(
      commands,
      { numRows: share.count * z.topK, numSource: share.count },
      { x: own.routed, index: own.rowToken, y: w.symmetric('send').part(rank) },
    );
  }
}

function recordDispatch(
  commands: CommandList,
  c: StageContext,
  { receivePlan }: ExchangeKernels,
  w: StageWorkspace,
  group: BusyGroup,
): void {
  const { up, down, tileRows } = group.sized;
  const { owners } = c.sizes;
  const arrays = {
    starts: w.symmetric('starts'),
    receiveStart: w.symmetric('receiveStart'),
    tiles: w.symmetric('tiles'),
    grid: w.symmetric('grid'),
  };
  receivePlan.record(
    commands,
    {
      firstExpert: 0,
      tileRows,
      tileCapacity: mostTiles(c, group),
      columnGroups: up.columnGroups,
      downColumnGroups: down.columnGroups,
    },
    {
      starts: arrays.starts.buffer,
      receiveStart: arrays.receiveStart.buffer,
      tiles: arrays.tiles.buffer,
      grid: arrays.grid.buffer,
    },
    {
      members: c.epGroups.members,
      firstMember: at(c.epGroups.firstMember, group.group),
      numLists: group.ranks.length / owners,
      rowStride: c.sizes.receiveRows,
      startsStride: arrays.starts.stride,
      placeStride: arrays.receiveStart.stride,
      tilesStride: arrays.tiles.stride,
      gridStride: arrays.grid.stride,
    },
  );
  c.transport.dispatchRows(commands, w.symmetric('send'), w.symmetric('receive'), exchangeOf(c, w, group));
}

/** Tiles that one list of the group can have. */
function mostTiles(
  { sizes: { topK, localExperts, owners } }: StageContext,
  { tokens, sized }: BusyGroup,
): number {
  const experts = owners * localExperts;
  return tileCapacity(tokens * Math.min(topK, experts), experts, sized.tileRows);
}

/** Ranks whose experts lie in one stack take part in one dispatch: a tile says whose rows it has. */
function recordGemms(
  commands: CommandList,
  { sizes: { owners } }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  { ranks, sized: { up, down } }: BusyGroup,
): void {
  for (let i = 0; i < ranks.length; i += owners) {
    const first = at(ranks, i);
    invariant(
      at(ranks, i + owners - 1) === first + owners - 1,
      () => `ranks ${ranks.join()} are no neighbours`,
    );
    const { w1, w2, w3 } = at(layer.weights, first);
    const x = w.symmetric('receive').parts(first, owners);
    const hidden = w.hidden(first);
    const y = w.symmetric('expertOut').parts(first, owners);
    const tiles = w.symmetric('tiles').parts(first, owners);
    const grid = w.symmetric('grid').part(first);
    up.record(commands, { x, w1, w3, tiles, y: hidden }, grid);
    const downGrid = grid.buffer.view(grid.byteOffset + 16, 16);
    down.record(commands, { x: hidden, w1: w2, tiles, y }, downGrid);
  }
}

function recordCombine(
  commands: CommandList,
  { kernels }: StageContext,
  w: StageWorkspace,
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

function exchangeOf(
  { epGroups, sizes: z }: StageContext,
  w: StageWorkspace,
  { group, maxRows, sources }: BusyGroup,
): RowExchange {
  return {
    groups: epGroups,
    group,
    sources,
    maxRows,
    width: z.modelDim,
    numExperts: z.numExperts,
    localExperts: z.localExperts,
    start: w.symmetric('start'),
    receiveStart: w.symmetric('receiveStart'),
  };
}
