/** What a search found, on its way from the worker: `SearchReport`, field by field. */
import * as v from 'valibot';

const Text = v.string();
const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const Value = v.number();
const Reading = v.picklist(['folded', 'orthogonal', 'attention-dp', 'expert-tensor', 'vllm']);
const Cell = v.object({
  ...{ value: Value, low: Value, high: Value, region: Text },
  tag: v.picklist(['modelled', 'assumed']),
});
const Share = v.picklist([
  ...(['attention', 'dense', 'experts', 'imbalance', 'exposed', 'overhead', 'bubble', 'idle'] as const),
]);

const Found = v.object({
  ...{ layout: Text, reading: Reading, meets: v.boolean(), front: v.boolean(), gpus: Count },
  same: v.array(v.object({ reading: Reading, layout: Text })),
  placement: v.object({
    ...{ attnTp: Count, attnDp: Count, pp: Count, moeTp: Count, ep: Count, replicas: Count },
    ...{ gpusPerNode: Count, expertSlots: v.exactOptional(Count) },
  }),
  cells: v.object({ ttft_ms: Cell, tpot_ms: Cell, out_tok_s_gpu: Cell }),
  ...{ ttftMs: Value, ttftP90Ms: Value, tpotMs: Value, tpotP90Ms: Value, e2eMs: Value },
  ...{ queueingShare: Value, inputTokensPerS: Value, outputTokensPerS: Value, memoryBytes: Value },
  shares: v.object({
    ...{ attention: Value, dense: Value, experts: Value, imbalance: Value, exposed: Value },
    ...{ overhead: Value, bubble: Value, idle: Value },
  }),
  events: Count,
});

export const FoundLayouts = v.object({
  ...{ model: Text, hardware: Text, gpus: v.array(Count), precision: Text, framework: Text },
  frameworkNamed: v.boolean(),
  workload: v.object({
    ...{ isl: Value, osl: Value, concurrency: v.nullable(Count) },
    ...{ requests: v.nullable(Count), ratePerS: v.nullable(Value) },
  }),
  targets: v.object({ ttftMs: v.exactOptional(Value), tpotMs: v.exactOptional(Value) }),
  ...{ layouts: Count, outOfMemory: Count, simulated: Count, interrupted: v.boolean() },
  ...{ found: v.array(Found), best: v.nullable(Found), front: v.array(Found) },
  given: v.nullable(
    v.object({
      ...{ layout: Found, rank: Count, of: Count, beaten: Count },
      better: v.array(
        v.object({
          ...{ layout: Found, as: Text },
          why: v.array(v.object({ share: Share, from: Value, to: Value })),
        }),
      ),
    }),
  ),
  givenRefused: v.nullable(Text),
});
