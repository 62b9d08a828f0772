/** The forward pass in a result file, and what a cluster would see of it. */
import * as v from 'valibot';
import { Count, fields, Ns, Samples } from './schema-parts.ts';

const Phase = fields({ phase: v.string(), ns: Ns, passes: Count, share: v.number() });

const Cluster = fields({
  pipeline: v.exactOptional(
    fields({
      wallNs: Ns,
      slots: v.array(fields({ stage: Count, microBatch: Count, beginNs: Ns, ns: Ns })),
      ranks: v.array(
        fields({
          ...{ stage: Count, rank: Count, computeNs: Ns, communicationNs: Ns, bubbleNs: Ns, idleNs: Ns },
          source: v.picklist(['measured', 'split', 'assumed']),
        }),
      ),
    }),
  ),
  expertLoad: v.array(v.array(v.array(Count))),
  ranks: v.array(
    fields({
      ...{ stage: Count, rank: Count, weightsBytes: Count, kvCacheBytes: Count },
      ...{ workspaceBytes: Count, tablesBytes: Count },
    }),
  ),
});

export const ForwardTiming = fields({
  layout: v.string(),
  worldSize: Count,
  samplesNs: Samples,
  dispatches: Count,
  microBatches: Count,
  hostSyncsPerLayer: v.number(),
  profiles: v.array(
    fields({
      totalNs: Ns,
      voidPasses: Count,
      stages: v.array(fields({ stage: v.string(), ns: Ns, passes: Count, phases: v.array(Phase) })),
      kernels: v.array(Phase),
    }),
  ),
  liveBytes: Count,
  predictedBytes: Count,
  cluster: v.exactOptional(Cluster),
});

export const ForwardRouting = fields({
  asked: v.record(v.string(), v.union([v.string(), v.number()])),
  rows: fields({ offered: Count, kept: Count, dropped: Count, moved: Count }),
  mass: fields({ offered: v.number(), lost: v.number() }),
});
