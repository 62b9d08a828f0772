/** x -> norm -> qkv -> rope, KV append -> attention -> output projection -> reduce-scatter over TP. */
import { at, maxOf } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import { sizedFor } from './kernels.ts';
import { busyRun } from '../step/plan.ts';
import type { StageContext, StageLayer, StageStep } from './context.ts';
import type { StageWorkspace } from '../stage-workspace.ts';

/**
 * Reads `x` on every member of a TP group; leaves each member's share of the attention output in `attended`
 * (in `partial` when the group has one member).
 */
export function recordAttention(
  commands: CommandList,
  c: StageContext,
  w: StageWorkspace,
  layer: StageLayer,
  step: StageStep,
  stage: number,
): void {
  const { kernels, transport, sizes: z } = c;
  const { batch, loads, tables } = step;
  commands.span(`stage ${stage}/attention`);
  loads.forEach(({ group, numTokens }, rank) => {
    if (numTokens === 0) return;
    const weights = at(layer.weights, rank);
    const cache = at(layer.cache, rank);
    const own = w.rank(rank);
    const { maxQueries, sequences } = at(batch, group);
    const { qkv, out } = sizedFor(kernels, numTokens);
    const attention = maxQueries <= 1 ? kernels.decode : kernels.prefill;
    kernels.norm.record(
      commands,
      { numRows: numTokens },
      { x: w.symmetric('x').part(rank), weight: weights.attentionNorm, y: own.normed, sum: own.sum },
    );
    qkv.record(commands, numTokens, { a: own.normed, b: weights.qkv, c: own.qkv });
    kernels.ropeAppend.record(commands, numTokens, {
      qkv: own.qkv,
      table: c.ropeTable,
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
        scratch: c.attentionScratch,
      },
    );
    out.record(commands, numTokens, {
      a: own.heads,
      b: weights.out,
      c: w.symmetric('partial').part(rank),
    });
  });
  if (c.layout.spec.tp === 1) return;
  commands.span(`stage ${stage}/reduce-scatter`);
  transport.reduceScatterRows(commands, w.symmetric('partial'), w.symmetric('attended'), {
    groups: c.tpGroups,
    shares: tables.shares,
    ranks: busyRun(loads.map(({ numTokens }) => numTokens)),
    maxRows: maxOf(loads.map((l) => l.share.count)),
    width: z.modelDim,
  });
}
