/** x -> norm -> qkv -> rope, KV append -> attention -> output projection -> reduce-scatter over TP. */
import { local, ofRanks, type Segment, within } from '../../collectives/segments.ts';
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
  const attend = local('attention', (commands) => recordAttention(commands, c, w, layer, step));
  if (c.layout.spec.tp === 1) return [attend];
  const { loads, tables } = step;
  const scatter = c.transport.reduceScatterRows(w.symmetric('partial'), w.symmetric('attended'), {
    groups: c.tpGroups,
    shares: tables.shares,
    ranks: busyRun(loads.map(({ numTokens }) => numTokens)),
    maxRows: maxOf(loads.map((l) => l.share.count)),
    width: c.sizes.modelDim,
  });
  return [attend, within('reduce-scatter', scatter)];
}

function recordAttention(
  commands: CommandList,
  { kernels, ropeTable: table, attentionScratch: scratch }: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  { batch, loads, tables }: StageStep,
): void {
  loads.forEach(({ group, numTokens }, rank) => {
    if (numTokens === 0) return;
    ofRanks(commands, rank);
    const weights = at(layer.weights, rank);
    const cache = at(layer.cache, rank);
    const own = w.rank(rank);
    const { maxQueries, sequences } = at(batch, group);
    const { qkv, out } = sizedFor(kernels.dense, numTokens);
    const attention = maxQueries <= 1 ? kernels.decode : kernels.prefill;
    kernels.norm.record(
      commands,
      { numRows: numTokens },
      { x: w.symmetric('x').part(rank), weight: weights.attentionNorm, y: own.normed, sum: own.sum },
    );
    qkv.record(commands, numTokens, { a: own.normed, b: weights.qkv, c: own.qkv });
    kernels.ropeAppend.record(commands, numTokens, {
      qkv: own.qkv,
      table,
      place: tables.place.part(group),
      q: own.q,
      kCache: cache.k,
      vCache: cache.v,
    });
    attention.record(
      commands,
      { numSequences: sequences.length, maxQueries },
      {
        q: own.q,
        k: cache.k,
        v: cache.v,
        sequences: tables.sequences.part(group),
        o: own.heads,
        scratch,
      },
    );
    out.record(commands, numTokens, {
      a: own.heads,
      b: weights.out,
      c: w.symmetric('partial').part(rank),
    });
  });
}
