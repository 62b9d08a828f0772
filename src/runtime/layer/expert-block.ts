/**
 * residual -> norm -> router, top-k -> routed experts -> all-gather.
 * What is sent between ranks has a size that the GPU knows only: nothing is read back.
 */
import { local, ofRanks, type Segment, within } from '../../collectives/segments.ts';
import { at, maxOf } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { sizedFor } from '../../kernels/sized.ts';
import type { ExchangeGroup, ExchangeWork } from '../../routed/exchanged.ts';
import type { LocalRows } from '../../routed/local.ts';
import { type ChoicePlaces, type RoutedRows, routedSegments } from '../../routed/routed-experts.ts';
import { busyGroups } from './busy-groups.ts';
import type { StageContext, StageLayer, StageStep } from './context.ts';
import { busyRun } from '../step/plan.ts';
import type { StageWorkspace } from '../stage-workspace.ts';

/** Reads `x` and the attention output; leaves the layer's output in `x` on every member of each TP group. */
export function expertSegments(
  c: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
): Segment[] {
  const busy = busyGroups(c, step);
  const { experts } = c.kernels;
  return [
    local('route', (commands) => recordRouters(commands, c, w, layer, step, busy)),
    ...('local' in experts
      ? routedSegments(experts.local, localRows(w, layer, step, busy))
      : routedSegments(experts.exchanged, exchangeWork(c, w, layer, step, busy))),
    ...gatherShares(c, w, step),
  ];
}

/** Residual, norm and the choice of experts of every rank that has tokens. */
function recordRouters(
  commands: CommandList,
  { kernels }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  busy: readonly ExchangeGroup[],
): void {
  for (const rank of busy.flatMap(({ ranks }) => ranks)) {
    const { share } = at(step.loads, rank);
    if (share.count === 0) continue;
    ofRanks(commands, rank);
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
    const { router } = sizedFor(kernels.dense, share.count);
    router.record(commands, share.count, {
      x: own.routed,
      gate: weights.gate,
      logits: own.logits,
      ids: own.ids,
      scores: own.scores,
    });
    step.onIds?.(commands, layer.index, rank, own.ids);
  }
}

function routedRows(w: StageWorkspace, { loads }: StageStep, rank: number): RoutedRows & ChoicePlaces {
  const { ids, scores, slot, rowToken, planScratch, routed, sum } = w.rank(rank);
  return {
    numTokens: at(loads, rank).share.count,
    ...{ x: routed, ids, scores, residual: sum, y: w.symmetric('mixed', 'x').part(rank) },
    ...{ slot, rowToken, planScratch },
  };
}

function localRows(
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  busy: readonly ExchangeGroup[],
): LocalRows[] {
  return busy
    .flatMap(({ ranks }) => ranks)
    .map((rank) => {
      const { slot, rowToken, planScratch, ...rows } = routedRows(w, step, rank);
      const part = (name: 'start' | 'tiles' | 'grid' | 'expertOut') => w.symmetric(name).part(rank);
      return {
        ...rows,
        weights: at(layer.weights, rank),
        hidden: w.hidden(rank),
        planned: {
          ...{ slot, rowToken, planScratch, start: part('start') },
          ...{ tiles: part('tiles'), grid: part('grid'), expertOut: part('expertOut') },
        },
      };
    });
}

function exchangeWork(
  c: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  groups: readonly ExchangeGroup[],
): ExchangeWork {
  return {
    table: c.epGroups,
    groups,
    arrays: {
      start: w.symmetric('start'),
      starts: w.symmetric('starts'),
      receiveStart: w.symmetric('receiveStart'),
      tiles: w.symmetric('tiles'),
      grid: w.symmetric('grid'),
      send: w.symmetric('send'),
      receive: w.symmetric('receive'),
      expertOut: w.symmetric('expertOut'),
      returned: w.symmetric('returned'),
    },
    rowsOf: (rank) => routedRows(w, step, rank),
    stackOf: (rank) => ({ weights: at(layer.weights, rank), hidden: w.hidden(rank) }),
    // A rank without tokens starts every expert at row 0, and layers do not change it.
    clearStarts: layer.first && step.loads.some(({ share }) => share.count === 0),
  };
}

/** Every member of a TP group has all its rows again. */
function gatherShares(c: StageContext, w: StageWorkspace, { loads, tables }: StageStep): Segment[] {
  if (c.layout.spec.tp === 1) return [];
  const gather = c.transport.allGatherRows(w.symmetric('mixed'), w.symmetric('x'), {
    groups: c.tpGroups,
    shares: tables.shares,
    ranks: busyRun(loads.map(({ numTokens }) => numTokens)),
    maxRows: maxOf(loads.map((l) => l.numTokens)),
    width: c.sizes.modelDim,
  });
  return [within('all-gather', gather)];
}
