/**
 * x -> norm -> qkv -> norm of queries and keys -> rope, KV append -> attention -> output projection -> reduce-scatter over
 * TP. A norm over the heads of all ranks sums squares over them first.
 */
import { local, ofAllRanks, ofRanks, type Segment, within } from '../../collectives/segments.ts';
import { invariant } from '../../core/errors.ts';
import { at, maxOf } from '../../core/math.ts';
import type { BufferView, GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { sizedFor } from '../../kernels/sized.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';
import { busyRun } from '../step/plan.ts';
import { rowsHeld, sharedHolders } from '../step/row-places.ts';
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
    eachRank(commands, step, (rank) => attendOn(commands, c, w, layer, step, rank));
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

function eachRank(commands: CommandList, { loads }: StageStep, record: (rank: number) => void): void {
  loads.forEach(({ numTokens }, rank) => {
    if (numTokens === 0) return;
    ofRanks(commands, rank);
    record(rank);
  });
}

/** Of several ranks: of all, split by their rows. */
function eachProduct(
  commands: CommandList,
  { places }: StageStep,
  record: (holder: number, numRows: number) => void,
): void {
  const shared = sharedHolders(places);
  for (const [holder, numRows] of rowsHeld(places)) {
    if (shared.has(holder)) ofAllRanks(commands);
    else ofRanks(commands, holder);
    record(holder, numRows);
  }
}

/** x -> norm -> qkv, and the sums of squares of a norm over all heads. */
function recordQkv(
  commands: CommandList,
  { kernels, sizes }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
): void {
  eachRank(commands, step, (rank) => {
    const { numTokens } = at(step.loads, rank);
    const y = rowsOf(w, sizes, step, rank).normed;
    const { attentionNorm: weight } = at(layer.weights, rank);
    const x = w.symmetric('x').part(rank);
    kernels.norm.record(commands, { numRows: numTokens }, { x, weight, y, sum: w.rank(rank).sum });
  });
  eachProduct(commands, step, (holder, numRows) => {
    const { normed: a, qkv: c } = w.rank(holder);
    const { qkv: b, qkvBias: bias } = at(layer.weights, holder);
    sizedFor(kernels.products, numRows).qkv.record(commands, numRows, { a, b, c, bias });
  });
  if (!sizes.widthNorm) return;
  eachRank(commands, step, (rank) => {
    const { numTokens } = at(step.loads, rank);
    const { qkv } = rowsOf(w, sizes, step, rank);
    kernels.qkNorm?.recordSquares(commands, numTokens, { qkv, squares: w.symmetric('squares').part(rank) });
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
  const { qkv, heads: o } = rowsOf(w, sizes, step, rank);
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
      o,
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
  const shared = sharedHolders(step.places);
  eachProduct(commands, step, (holder, numRows) => {
    const { heads: a, normed } = w.rank(holder);
    const { out: b, outBias: bias } = at(layer.weights, holder);
    const c = shared.has(holder) ? normed : partial.part(holder);
    sizedFor(kernels.products, numRows).out.record(commands, numRows, { a, b, c, bias });
  });
  step.places.forEach(({ holder, numRows }, rank) => {
    if (numRows === 0 || !shared.has(holder)) return;
    commands.copy(rowsOf(w, sizes, step, rank).normed, partial.part(rank), 4 * numRows * sizes.modelDim);
  });
}

/** Where a rank's rows lie in its holder's scratch. */
function rowsOf(
  w: StageWorkspace,
  { modelDim, headDim, numHeads, numKvHeads }: RankSizes,
  { places }: StageStep,
  rank: number,
): Readonly<Record<'normed' | 'qkv' | 'heads', BufferView>> {
  const { holder, firstRow } = at(places, rank);
  const { normed, qkv, heads } = w.rank(holder);
  const from = (buffer: GpuBuffer, width: number): BufferView => buffer.view(4 * firstRow * width);
  return {
    normed: from(normed, modelDim),
    qkv: from(qkv, (numHeads + 2 * numKvHeads) * headDim),
    heads: from(heads, numHeads * headDim),
  };
}
