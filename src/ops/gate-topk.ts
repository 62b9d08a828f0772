/** The router's choice: the k experts of highest score per token. T tokens, E experts, K chosen. */
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { prepareTopk, topkVariants, type GatingShape, type ScoreFunction } from '../kernels/gating.ts';
import { gateTopK } from '../reference/gate.ts';
import { BYTES_OF, type Tensor, toF32, toF64 } from '../tensor/tensor.ts';
import { choiceAttr, flagAttr, numberAttr } from './attrs.ts';
import { budgetOf, EXACT, scoreRoundings } from './budgets.ts';
import { defineOp } from './define.ts';
import type { AttrRule, OpInputs } from './op.ts';
import { requirePositive, sizeOf, type Dims } from './shapes.ts';
import { bytesOfInputs, outputDtype, rowRuns, rowView, tensorOf, withWorkspace } from './workspace.ts';

export const ROUTING_ATTRS = {
  k: { name: 'k', kind: 'integer', min: 1, about: 'experts per token' },
  score: {
    name: 'score',
    kind: 'choice',
    choices: ['softmax', 'sigmoid'],
    default: 'softmax',
    about: 'softmax over all experts before the choice, or a sigmoid of each logit',
  },
} as const satisfies Record<string, AttrRule>;

interface Size extends GatingShape {
  readonly numTokens: number;
}

export const gateTopk = defineOp({
  name: 'gate-topk',
  about: 'the k experts of highest score per token, ties to the lower id',
  inputs: [{ name: 'logits', dims: '[T, E]', dtypes: ['f32', 'f16'], about: 'router logits' }],
  outputs: [
    { name: 'ids', dims: '[T, K]', dtypes: ['i32'], about: 'experts by descending score' },
    { name: 'scores', dims: '[T, K]', dtypes: ['f32', 'f16'], about: 'their scores' },
  ],
  attrs: [
    ROUTING_ATTRS.k,
    ROUTING_ATTRS.score,
    {
      name: 'renormalize',
      kind: 'flag',
      default: false,
      about: 'divide the chosen scores by their sum',
    },
  ],
  variants: topkVariants,
  size: (inputs, dims): Size => ({
    ...routingOf('gate-topk', inputs, dims),
    numTokens: sizeOf(dims, 'T'),
  }),
  able: (gpu, size) => topkVariants.filter((v) => v.refusal(size, gpu) === undefined).map((v) => v.name),
  prepare: (gpu, inputs, size, variant) =>
    withWorkspace(gpu, async (space) => {
      const { numTokens, numExperts, topK } = size;
      const gating = await prepareTopk(gpu, size, variant);
      const logits = space.activation('logits', tensorOf(inputs, 'logits'));
      const ids = space.output('ids', [numTokens, topK], 'i32');
      const scores = space.output('scores', [numTokens, topK], outputDtype(inputs));
      const runs = rowRuns(gpu, numTokens, gatingFlops(size), 1 << 20);
      return space.prepared(gating.variant, (commands) => {
        for (const rows of runs) {
          gating.record(commands, rows.count, {
            logits: rowView(logits, rows, numExperts),
            ids: rowView(ids, rows, topK),
            scores: rowView(scores, rows, topK),
          });
        }
      });
    }),
  reference: (inputs, size) => {
    const logits_TE = toF64(tensorOf(inputs, 'logits'));
    const { ids_TK, scores_TK } = gateTopK({ ...size, logits_TE });
    const roundings = scoreRoundings({ ...size, logits_TE, ids_TK });
    const budget = budgetOf(scores_TK, (i) => at(roundings, i), outputDtype(inputs));
    const shape = [size.numTokens, size.topK];
    return new Map([
      ['ids', { values: Float64Array.from(ids_TK), shape, budget: EXACT }],
      ['scores', { values: scores_TK, shape, budget }],
    ]);
  },
  cost: (inputs, size) => ({
    flops: size.numTokens * gatingFlops(size),
    bytes:
      bytesOfInputs(inputs) + size.numTokens * size.topK * (BYTES_OF.i32 + BYTES_OF[outputDtype(inputs)]),
  }),
});

/** A comparison per expert and choice, and an exponential with its sum per expert. */
const gatingFlops = (size: GatingShape): number => size.numExperts * (size.topK + 2);

/** How the logits of an op are to be routed. @throws ConfigError for a k outside of 1..E, or logits without order. */
export function routingOf(op: string, inputs: OpInputs, dims: Dims): GatingShape {
  requirePositive(op, dims, ['E']);
  const [numExperts, topK] = [sizeOf(dims, 'E'), numberAttr(inputs, 'k')];
  if (topK > numExperts) {
    throw new ConfigError(
      `${op}: k is ${topK}, but logits have ${numExperts} experts; k must be from 1 to ${numExperts}.`,
    );
  }
  checkLogits(op, tensorOf(inputs, 'logits'), numExperts, topK);
  return {
    numExperts,
    topK,
    score: choiceAttr<ScoreFunction>(inputs, 'score'),
    renormalize: flagAttr(inputs, 'renormalize'),
  };
}

/** NaN has no place in an order. -Infinity masks an expert as long as k others remain. */
function checkLogits(op: string, logits: Tensor, numExperts: number, topK: number): void {
  const values = toF32(logits);
  for (let t = 0; t * numExperts < values.length; t++) {
    let finite = 0;
    for (let e = 0; e < numExperts; e++) {
      const value = at(values, t * numExperts + e);
      if (Number.isFinite(value)) finite += 1;
      else if (value !== -Infinity) {
        throw new ConfigError(
          `${op}: logits[${t}, ${e}] is ${value}; a top-k needs an order, so logits are finite, or -Infinity to mask an expert.`,
        );
      }
    }
    if (finite < topK) {
      throw new ConfigError(
        `${op}: logits[${t}] leaves ${finite} experts that are not masked by -Infinity, but k is ${topK}; leave at least k.`,
      );
    }
  }
}
