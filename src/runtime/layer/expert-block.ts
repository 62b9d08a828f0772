/**
 * residual -> norm -> router, top-k -> shared and routed experts -> all-gather; of a layer without routing one plain unit.
 * What is sent between ranks has a size that the GPU knows only: nothing is read back.
 */
import { local, ofRanks, type Recorded, type Segment, within } from '../../collectives/segments.ts';
import { invariant } from '../../core/errors.ts';
import { at, maxOf } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { GatedUnit } from '../../kernels/dense/gated-unit.ts';
import type { ExpertWeights } from '../../kernels/experts/products.ts';
import { sizedFor } from '../../kernels/sized.ts';
import type { Run } from '../../layout/layout.ts';
import { isDense } from '../../model/config.ts';
import type { ExchangeGroup, ExchangeWork } from '../../routed/exchanged.ts';
import type { LocalRows } from '../../routed/local.ts';
import { type ChoicePlaces, type RoutedRows, routedSegments } from '../../routed/routed-experts.ts';
import { admissionSegments } from './admission.ts';
import { busyGroups } from './busy-groups.ts';
import type { ExpertContext, ExpertLayer, ExpertStep } from './context.ts';
import type { ExpertKernels } from './expert-kernels.ts';
import { busyRun } from '../step/plan.ts';
import type { StageWorkspace } from '../stage-workspace.ts';

/** Reads `x` and the attention output; leaves the layer's output in `x` on every member of each TP group. */
export function expertSegments(
  c: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
): Segment[] {
  const busy = busyGroups(c, step);
  const { experts } = c.kernels;
  if (isDense(c.layout.model, layer.index)) {
    const unit = local('experts', (commands) => recordDense(commands, c, w, layer, step, busy));
    return [unit, ...gatherShares(c, w, step)];
  }
  return [
    routerSegment(c, w, layer, step, busy),
    ...admissionSegments(c, w, layer, step, busy),
    ...('local' in experts
      ? routedSegments(experts.local, localRows(c, w, layer, step, busy))
      : routedSegments(experts.exchanged, exchangeWork(c, w, layer, step, busy))),
    ...gatherShares(c, w, step),
  ];
}

/** Norm, the choice of experts and shared experts. */
export function routerSegment(
  c: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
  busy: readonly ExchangeGroup[],
): Recorded {
  return local('route', (commands) => recordRouters(commands, c, w, layer, step, busy));
}

/** Residual, norm and the choice of experts of every rank that has tokens. */
function recordRouters(
  commands: CommandList,
  { kernels }: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
  busy: readonly ExchangeGroup[],
): void {
  eachShare(step, busy, (rank, { count }) => {
    ofRanks(commands, rank);
    const own = w.rank(rank);
    const weights = at(layer.weights, rank);
    recordNorm(commands, kernels, w, layer, step, rank);
    const choices = w.choices(rank);
    sizedFor(kernels.routers, count).record(commands, count, {
      x: own.routed,
      gate: present(weights.gate, 'gate'),
      logits: choices.logits,
      logitBias: weights.gateBias,
      bias: layer.bias?.bias ?? weights.correction,
      ids: choices.ids,
      scores: choices.scores,
    });
    step.onIds?.(commands, layer.index, rank, choices.ids);
    if (kernels.shared === undefined) return;
    recordUnit(commands, kernels.shared, w, layer, rank, count);
    const joined = { a: own.sum, b: w.unit(rank, 'unitOut'), y: w.unit(rank, 'joined') };
    kernels.add?.record(commands, count * w.modelDim, joined);
  });
}

/** Residual, norm and the plain unit of a layer without routing, of every rank that has tokens. */
function recordDense(
  commands: CommandList,
  { kernels }: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
  busy: readonly ExchangeGroup[],
): void {
  eachShare(step, busy, (rank, { count }) => {
    ofRanks(commands, rank);
    recordNorm(commands, kernels, w, layer, step, rank);
    recordUnit(commands, present(kernels.dense, 'dense unit'), w, layer, rank, count);
    kernels.add?.record(commands, count * w.modelDim, {
      a: w.rank(rank).sum,
      b: w.unit(rank, 'unitOut'),
      y: w.symmetric('mixed', 'x').part(rank),
    });
  });
}

function eachShare(
  { loads }: ExpertStep,
  busy: readonly ExchangeGroup[],
  record: (rank: number, share: Run) => void,
): void {
  for (const rank of busy.flatMap(({ ranks }) => ranks)) {
    const { share } = at(loads, rank);
    if (share.count > 0) record(rank, share);
  }
}

/** Attention's output joins the residual stream in `sum`; `routed` is its norm. */
function recordNorm(
  commands: CommandList,
  { normResidual }: ExpertKernels,
  w: StageWorkspace,
  layer: ExpertLayer,
  { loads }: ExpertStep,
  rank: number,
): void {
  const { share } = at(loads, rank);
  const own = w.rank(rank);
  normResidual.record(
    commands,
    { numRows: share.count, residualRow: share.first },
    {
      x: w.symmetric('attended', 'partial').part(rank),
      residual: w.symmetric('x').part(rank),
      weight: at(layer.weights, rank).expertNorm,
      y: own.routed,
      sum: own.sum,
    },
  );
}

function recordUnit(
  commands: CommandList,
  unit: GatedUnit,
  w: StageWorkspace,
  layer: ExpertLayer,
  rank: number,
  numRows: number,
): void {
  const { unitUp, unitDown } = at(layer.weights, rank);
  unit.record(commands, numRows, {
    ...{ x: w.rank(rank).routed, w13: present(unitUp, 'unit'), w2: present(unitDown, 'unit') },
    ...{ up: w.unit(rank, 'unitUp'), hidden: w.unit(rank, 'unitHidden'), y: w.unit(rank, 'unitOut') },
  });
}

function present<T>(value: T | undefined, what: string): T {
  invariant(value !== undefined, () => `${what} of a layer that has none`);
  return value;
}

function stackOf({ w1, w2, w3, upBias, downBias }: ExpertLayer['weights'][number]): ExpertWeights {
  return { w1: present(w1, 'w1'), w2: present(w2, 'w2'), w3, upBias, downBias };
}

/** Where ranks hold different numbers of experts, each has a stack of its own. */
function ownStack({ layout, sizes: z }: ExpertContext, layer: ExpertLayer, rank: number): ExpertWeights {
  const { count } = layout.slotsOf(rank % layout.spec.ep);
  const stack = stackOf(at(layer.weights, rank));
  return count === z.localExperts ? stack : { ...stack, numExperts: count };
}

function routedRows(
  { kernels }: ExpertContext,
  w: StageWorkspace,
  { loads }: ExpertStep,
  rank: number,
): RoutedRows & ChoicePlaces {
  const { slot, rowToken, planScratch, routed, sum } = w.rank(rank);
  const { scores, slots: ids } = w.choices(rank);
  return {
    numTokens: at(loads, rank).share.count,
    residual: kernels.shared === undefined ? sum : w.unit(rank, 'joined'),
    ...{ x: routed, ids, scores, y: w.symmetric('mixed', 'x').part(rank) },
    ...{ slot, rowToken, planScratch },
  };
}

function localRows(
  c: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
  busy: readonly ExchangeGroup[],
): LocalRows[] {
  return busy
    .flatMap(({ ranks }) => ranks)
    .map((rank) => {
      const { slot, rowToken, planScratch, ...rows } = routedRows(c, w, step, rank);
      const part = (name: 'start' | 'tiles' | 'grid' | 'expertOut') => w.symmetric(name).part(rank);
      return {
        ...rows,
        weights: stackOf(at(layer.weights, rank)),
        hidden: w.hidden(rank),
        planned: {
          ...{ slot, rowToken, planScratch, start: part('start') },
          ...{ tiles: part('tiles'), grid: part('grid'), expertOut: part('expertOut') },
        },
      };
    });
}

function exchangeWork(
  c: ExpertContext,
  w: StageWorkspace,
  layer: ExpertLayer,
  step: ExpertStep,
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
    rowsOf: (rank) => routedRows(c, w, step, rank),
    stackOf: (rank) => ({ weights: ownStack(c, layer, rank), hidden: w.hidden(rank) }),
    // A rank without tokens starts every expert at row 0, and layers do not change it.
    clearStarts: layer.firstRouted && step.loads.some(({ share }) => share.count === 0),
  };
}

/** Every member of a TP group has all its rows again. */
function gatherShares(c: ExpertContext, w: StageWorkspace, { loads, tables }: ExpertStep): Segment[] {
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
