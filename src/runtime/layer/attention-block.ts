/**
 * x -> norm -> qkv -> norm of queries and keys -> rope, KV append -> attention -> output projection -> reduce-scatter over
 * TP. A norm over the heads of all ranks sums squares over them first.
 */
import { local, ofRanks, type Segment, within } from '../../collectives/segments.ts';
import { invariant } from '../../core/errors.ts';
import { at, maxOf } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { sizedFor } from '../../kernels/sized.ts';
import { busyRun } from '../step/plan.ts';
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
  const apart = tp > 1 && c.sizes.widthNorm;
  const attend = apart
    ? [
        local('attention', (commands) =>
          eachRank(commands, step, (rank) => project(commands, c, w, layer, step, rank)),
        ),
        within('attention', sumSquares(c, w, step)),
        local('attention', (commands) =>
          eachRank(commands, step, (rank) => attendOn(commands, c, w, layer, step, rank)),
        ),
      ]
    : [
        local('attention', (commands) =>
          eachRank(commands, step, (rank) => {
            project(commands, c, w, layer, step, rank);
            attendOn(commands, c, w, layer, step, rank);
          }),
        ),
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

/** x -> norm -> qkv, and the sums of squares of a norm over all heads. */
function project(
  commands: CommandList,
  { kernels, sizes }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  { loads }: StageStep,
  rank: number,
): void {
  const { numTokens } = at(loads, rank);
  const weights = at(layer.weights, rank);
  const own = w.rank(rank);
  kernels.norm.record(
    commands,
    { numRows: numTokens },
    { x: w.symmetric('x').part(rank), weight: weights.attentionNorm, y: own.normed, sum: own.sum },
  );
  const { qkv } = sizedFor(kernels.products, numTokens);
  qkv.record(commands, numTokens, { a: own.normed, b: weights.qkv, c: own.qkv, bias: weights.qkvBias });
  if (!sizes.widthNorm) return;
  const squares = w.symmetric('squares').part(rank);
  kernels.qkNorm?.recordSquares(commands, numTokens, { qkv: own.qkv, squares });
}

/** The rest, from qkv to the output projection. */
function attendOn(
  commands: CommandList,
  { kernels, sizes, layout, ropeTable: table, attentionScratch: scratch }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  { batch, loads, tables }: StageStep,
  rank: number,
): void {
  const { group, numTokens } = at(loads, rank);
  const weights = at(layer.weights, rank);
  const cache = at(layer.cache, rank);
  const own = w.rank(rank);
  const { maxQueries, sequences } = at(batch, group);
  const window = layout.model.attention?.windows?.[layer.index] ?? 0;
  const attention = kernels.attention.get(window);
  invariant(attention !== undefined, () => `attention with a window of ${window} was not prepared`);
  const squares = sizes.widthNorm ? w.symmetric('allSquares', 'squares').part(rank) : undefined;
  kernels.qkNorm?.record(
    commands,
    numTokens,
    { qkv: own.qkv, weight: weights.qkNorm, squares },
    weights.attentionNorm,
  );
  kernels.ropeAppend.record(commands, numTokens, {
    qkv: own.qkv,
    table,
    place: tables.place.part(group),
    q: own.q,
    kCache: cache.k,
    vCache: cache.v,
  });
  (maxQueries <= 1 ? attention.decode : attention.prefill).record(
    commands,
    { numSequences: sequences.length, maxQueries },
    {
      q: own.q,
      k: cache.k,
      v: cache.v,
      sequences: tables.sequences.part(group),
      o: own.heads,
      scratch,
      ...(weights.sinks && { sinks: weights.sinks }),
    },
  );
  sizedFor(kernels.products, numTokens).out.record(commands, numTokens, {
    a: own.heads,
    b: weights.out,
    c: w.symmetric('partial').part(rank),
    bias: weights.outBias,
  });
}
