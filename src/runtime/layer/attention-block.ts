/**
 * x -> norm -> qkv -> norm of queries and keys -> rope, KV append -> attention -> output projection -> reduce-scatter over
 * TP. A norm over the heads of all ranks sums squares over them first.
 */
import { local, type Segment, within } from '../../collectives/segments.ts';
import { invariant } from '../../core/errors.ts';
import { at, maxOf } from '../../core/math.ts';
import type { BufferView } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { sizedFor } from '../../kernels/sized.ts';
import { projectedWidths } from '../../memory/arrays.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import { busyRun } from '../step/plan.ts';
import { eachPlace, eachProduct, type RowPlace } from '../step/row-places.ts';
import type { StageContext, StageLayer, StageStep } from './context.ts';
import type { StageWorkspace } from '../stage-workspace.ts';

/**
 * Reads `x` on every member of a TP group; leaves each member's share of the attention output in `attended`
 * (in `partial` when the group has one member).
 */
export function attentionSegments(
  c: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
): Segment[] {
  const { tp } = c.layout.spec;
  const summed = tp > 1 && c.sizes.widthNorm;
  const before = (commands: CommandList): void => recordQkv(commands, c, w, layer, step);
  const after = (commands: CommandList): void => {
    eachPlace(commands, step.projections, (rank) => attendOn(commands, c, w, layer, step, rank));
    recordOut(commands, c, w, layer, step);
  };
  const attend = summed
    ? [local('attention', before), within('attention', sumSquares(c, w, step)), local('attention', after)]
    : [
        local('attention', (commands) => {
          before(commands);
          after(commands);
        }),
      ];
  if (tp === 1) return attend;
  const { loads, tables } = step;
  const scatter = c.transport.reduceScatterRows(w.symmetric('partial'), w.symmetric('attended'), {
    groups: c.tpGroups,
    shares: tables.shares,
    ranks: busyRun(loads.map(({ numTokens }) => numTokens)),
    maxRows: maxOf(loads.map((l) => l.share.count)),
    width: c.sizes.modelDim,
  });
  return [...attend, within('reduce-scatter', scatter)];
}

/** The sums of squares of all members of each TP group, on each of them. */
function sumSquares(c: StageContext, w: StageWorkspace, { loads }: StageStep): Segment {
  const count = 2 * maxOf(loads.map(({ numTokens }) => numTokens));
  return c.transport.allReduce(w.symmetric('squares'), w.symmetric('allSquares'), c.tpGroups, count);
}

/** x -> norm -> qkv, and the sums of squares of a norm over all heads. */
function recordQkv(
  commands: CommandList,
  { kernels, sizes }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
): void {
  const rows = step.projections;
  eachPlace(commands, rows, (rank, place) => {
    const y = placeIn(w, sizes, place, 'normed');
    const { attentionNorm: weight } = at(layer.weights, rank);
    const x = w.symmetric('x').part(rank);
    kernels.norm.record(commands, place, { x, weight, y, sum: w.rank(rank).sum });
  });
  eachProduct(commands, rows, ({ holder, numRows }) => {
    const { normed: a, qkv: c } = w.rank(holder);
    const { qkv: b, qkvBias: bias } = at(layer.weights, holder);
    sizedFor(kernels.products, numRows).qkv.record(commands, numRows, { a, b, c, bias });
  });
  if (!sizes.widthNorm) return;
  eachPlace(commands, rows, (rank, place) => {
    const tensors = { qkv: placeIn(w, sizes, place, 'qkv'), squares: w.symmetric('squares').part(rank) };
    kernels.qkNorm?.recordSquares(commands, place.numRows, tensors);
  });
}

/** From qkv to the output of its heads. */
function attendOn(
  commands: CommandList,
  { kernels, sizes, layout, ropeTable: table, attentionScratch: scratch }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  rank: number,
): void {
  const { batch, loads, tables } = step;
  const { group, numTokens } = at(loads, rank);
  const weights = at(layer.weights, rank);
  const cache = at(layer.cache, rank);
  const { q } = w.rank(rank);
  const place = at(step.projections.places, rank);
  const qkv = placeIn(w, sizes, place, 'qkv');
  const { maxQueries, sequences } = at(batch, group);
  const window = layout.model.attention?.windows?.[layer.index] ?? 0;
  const attention = kernels.attention.get(window);
  invariant(attention !== undefined, () => `attention with a window of ${window} was not prepared`);
  const squares = sizes.widthNorm ? w.symmetric('allSquares', 'squares').part(rank) : undefined;
  kernels.qkNorm?.record(
    commands,
    numTokens,
    { qkv, weight: weights.qkNorm, squares },
    weights.attentionNorm,
  );
  kernels.ropeAppend.record(commands, numTokens, {
    qkv,
    table,
    place: tables.place.part(group),
    q,
    kCache: cache.k,
    vCache: cache.v,
  });
  (maxQueries <= 1 ? attention.decode : attention.prefill).record(
    commands,
    { numSequences: sequences.length, maxQueries },
    {
      q,
      k: cache.k,
      v: cache.v,
      sequences: tables.sequences.part(group),
      o: placeIn(w, sizes, place, 'heads'),
      scratch,
      ...(weights.sinks && { sinks: weights.sinks }),
    },
  );
}

/** Output projection. Rows of several ranks are multiplied where their normed ones lay, and taken to each from there. */
function recordOut(
  commands: CommandList,
  { kernels, sizes }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
): void {
  const partial = w.symmetric('partial');
  const { places, products } = step.projections;
  eachProduct(commands, step.projections, ({ holder, numRows, ranks }) => {
    const { heads: a, normed } = w.rank(holder);
    const { out: b, outBias: bias } = at(layer.weights, holder);
    const c = ranks.length > 1 ? normed : partial.part(holder);
    sizedFor(kernels.products, numRows).out.record(commands, numRows, { a, b, c, bias });
  });
  // Behind all products: a copy ends the pass.
  for (const rank of products.flatMap(({ ranks }) => (ranks.length > 1 ? ranks : []))) {
    const place = at(places, rank);
    const bytes = 4 * place.numRows * sizes.modelDim;
    commands.copy(placeIn(w, sizes, place, 'normed'), partial.part(rank), bytes);
  }
}

/** From where a rank's rows lie in its holder's scratch on. */
function placeIn(
  w: StageWorkspace,
  sizes: RankSizes,
  { holder, firstRow }: RowPlace,
  name: 'normed' | 'qkv' | 'heads',
): BufferView {
  return w.rank(holder)[name].view(4 * firstRow * projectedWidths(sizes)[name]);
}
