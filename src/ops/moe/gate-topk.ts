/** The router's choice: the k experts of highest score per token. T tokens, E experts, K chosen. */
import { ConfigError } from '../../core/errors.ts';
import { at, sum } from '../../core/math.ts';
import type { GroupLimit, ScoreFunction } from '../../core/gating.ts';
import {
  gatingRefusal,
  MOST_CHOICES,
  MOST_GROUPS,
  prepareTopk,
  topkVariants,
  type GatingShape,
} from '../../kernels/routing/gating.ts';
import { ableVariants } from '../../kernels/variants.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import { BYTES_OF, type Tensor, toF32, toF64 } from '../../tensor/tensor.ts';
import { choiceAttr, flagAttr, numberAttr } from '../attrs.ts';
import { budgetOf, EXACT, scoreRoundings } from '../budgets.ts';
import { defineOp } from '../define.ts';
import { standingChoice } from './gate-choice.ts';
import type { AttrRule, OpInputs, TensorRule } from '../op.ts';
import { requirePositive, sizeOf, type Dims } from '../shapes.ts';
import { rowRuns } from '../row-runs.ts';
import { bytesOfInputs, outputDtype, rowView, tensorOf, withBuffers, type OpBuffers } from '../op-buffers.ts';

export const ROUTING_ATTRS = {
  k: { name: 'k', kind: 'integer', min: 1, max: MOST_CHOICES, about: 'experts per token' },
  score: {
    name: 'score',
    kind: 'choice',
    choices: ['softmax', 'sigmoid'],
    default: 'softmax',
    about: 'softmax over all experts before the choice, or a sigmoid of each logit',
  },
  groups: {
    name: 'groups',
    kind: 'integer',
    default: 1,
    min: 1,
    max: MOST_GROUPS,
    about: 'equal groups of experts; only those of the best groups may be chosen',
  },
  groupsKept: {
    name: 'groups_kept',
    kind: 'integer',
    default: 1,
    min: 1,
    max: MOST_CHOICES,
    about: 'how many groups those are',
  },
  groupScore: {
    name: 'group_score',
    kind: 'choice',
    choices: ['top2', 'max'],
    default: 'top2',
    about: "a group's score: the sum of its two best experts (DeepSeek-V3), or its best (V2)",
  },
  scale: { name: 'scale', kind: 'number', default: 1, about: 'factor of the chosen scores' },
} as const satisfies Record<string, AttrRule>;

/** The bias of the choice: DeepSeek-V3's e_score_correction_bias. */
export const BIAS_INPUT = {
  name: 'bias',
  dims: '[E]',
  dtypes: ['f32', 'f16'],
  optional: true,
  about: 'added to the scores for the choice only',
} as const satisfies TensorRule;

interface Size extends GatingShape {
  readonly numTokens: number;
}

export const gateTopk = defineOp({
  name: 'gate-topk',
  about: 'the k experts of highest score per token, ties to the lower id',
  inputs: [{ name: 'logits', dims: '[T, E]', dtypes: ['f32', 'f16'], about: 'router logits' }, BIAS_INPUT],
  outputs: [
    {
      name: 'ids',
      dims: '[T, K]',
      dtypes: ['i32'],
      about:
        'experts in the order of the choice, as exact arithmetic has it: scores that are one number in f32, or 0, are ordered by their logits, and so are groups; only equal ones go to the lower id',
    },
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
    ROUTING_ATTRS.groups,
    ROUTING_ATTRS.groupsKept,
    ROUTING_ATTRS.groupScore,
    ROUTING_ATTRS.scale,
  ],
  registry: 'gate-topk',
  variants: topkVariants,
  size: (inputs, dims): Size => ({
    ...routingOf('gate-topk', inputs, dims),
    numTokens: sizeOf(dims, 'T'),
  }),
  able: (gpu, size) => ableVariants('gate-topk', topkVariants, size, gpu),
  prepare: (gpu, inputs, size, variant) =>
    withBuffers(gpu, async (space) => {
      const { numTokens, numExperts, topK } = size;
      const gating = await prepareTopk(gpu, size, variant);
      const logits = space.activation('logits', tensorOf(inputs, 'logits'), 'parts');
      const bias = biasOf(space, inputs, size);
      const ids = space.output('ids', [numTokens, topK], 'i32', 'parts');
      const scores = space.output('scores', [numTokens, topK], outputDtype(inputs), 'parts');
      const runs = rowRuns(gpu, numTokens, gatingFlops(size), 1 << 20, [size.numExperts, topK]);
      return space.prepared(gating.variant, (commands) => {
        for (const rows of runs) {
          gating.record(commands, rows.count, {
            logits: rowView(logits, rows, numExperts),
            bias,
            ids: rowView(ids, rows, topK),
            scores: rowView(scores, rows, topK),
          });
        }
      });
    }),
  *reference(inputs, size, got) {
    const logits_TE = toF64(tensorOf(inputs, 'logits'));
    const bias_E = size.biased ? biasValues(inputs) : undefined;
    const given = got?.get('ids')?.data;
    const { ids_TK, scores_TK } = yield* standingChoice({ ...size, logits_TE, bias_E }, given);
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

/** The bias on the device, if it can change a choice. */
export function biasOf(space: OpBuffers, inputs: OpInputs, { biased }: GatingShape): GpuBuffer | undefined {
  const bias = inputs.tensors.get('bias');
  return bias && biased ? space.activation('bias', bias) : undefined;
}

/**
 * One bias of all experts changes no order, so their logits are compared, exactly. But a group with one expert left has
 * it once in its score, where others have it twice.
 */
function isBiased(inputs: OpInputs, groups: GroupLimit | undefined): boolean {
  const values = biasValues(inputs);
  if (values === undefined) return false;
  const common = groups?.score === 'top2' ? 0 : at(values, 0);
  return values.some((value) => value !== common);
}

/** The bias for the reference, if there is one. */
export function biasValues(inputs: OpInputs): Float64Array | undefined {
  const bias = inputs.tensors.get('bias');
  return bias && toF64(bias);
}

/** How the logits of an op are to be routed. @throws ConfigError for a k outside of 1..E, or logits without order. */
export function routingOf(op: string, inputs: OpInputs, dims: Dims): GatingShape {
  requirePositive(op, dims, ['E']);
  const [numExperts, topK] = [sizeOf(dims, 'E'), numberAttr(inputs, 'k')];
  if (topK > numExperts) {
    throw new ConfigError(
      `${op}: k is ${topK}, but logits have ${numExperts} experts; k must be from 1 to ${numExperts}.`,
    );
  }
  const groups = groupsOf(op, inputs, numExperts, topK);
  const shape: GatingShape = {
    numExperts,
    topK,
    score: choiceAttr<ScoreFunction>(inputs, 'score'),
    renormalize: flagAttr(inputs, 'renormalize'),
    biased: isBiased(inputs, groups),
    groups,
    scale: numberAttr(inputs, 'scale'),
  };
  const refusal = gatingRefusal(shape);
  if (refusal !== undefined) throw new ConfigError(`${op}: ${refusal}; use fewer.`);
  biasValues(inputs)?.forEach((value, e) => {
    if (Number.isFinite(value)) return;
    throw new ConfigError(
      `${op}: bias[${e}] is ${value}; a bias is finite. Mask an expert by a logit of -Infinity.`,
    );
  });
  const logits = inputs.tensors.get('logits');
  if (logits !== undefined) checkLogits(op, logits, shape);
  return shape;
}

function groupsOf(op: string, inputs: OpInputs, numExperts: number, topK: number): GroupLimit | undefined {
  const [count, kept] = [numberAttr(inputs, 'groups'), numberAttr(inputs, 'groups_kept')];
  if (kept > count) {
    throw new ConfigError(`${op}: groups_kept is ${kept}, but there are ${count} groups; keep at most all.`);
  }
  if (count === 1) return undefined;
  if (numExperts % count !== 0) {
    throw new ConfigError(
      `${op}: ${numExperts} experts are not ${count} groups of equal size; groups must divide the experts.`,
    );
  }
  if (topK > (kept * numExperts) / count) {
    throw new ConfigError(
      `${op}: k is ${topK}, but ${kept} groups have ${(kept * numExperts) / count} experts; keep more groups.`,
    );
  }
  return { count, kept, score: choiceAttr<GroupLimit['score']>(inputs, 'group_score') };
}

/** NaN has no place in an order. -Infinity masks an expert as long as k others remain. */
function checkLogits(op: string, logits: Tensor, { numExperts, topK, groups }: GatingShape): void {
  const values = toF32(logits);
  const perGroup = numExperts / (groups?.count ?? 1);
  for (let t = 0; t * numExperts < values.length; t++) {
    const finite = new Array<number>(groups?.count ?? 1).fill(0);
    for (let e = 0; e < numExperts; e++) {
      const value = at(values, t * numExperts + e);
      if (Number.isFinite(value)) finite[Math.floor(e / perGroup)] = at(finite, Math.floor(e / perGroup)) + 1;
      else if (value !== -Infinity) {
        throw new ConfigError(
          `${op}: logits[${t}, ${e}] is ${value}; a top-k needs an order, so logits are finite, or -Infinity to mask an expert.`,
        );
      }
    }
    const left = fewestLeft(finite, groups);
    if (left < topK) {
      throw new ConfigError(
        `${op}: logits[${t}] leaves ${left} experts that are not masked by -Infinity, but k is ${topK}; leave at least k` +
          `${groups === undefined ? '' : ' in any groups that may be kept'}.`,
      );
    }
  }
}

/** Experts that remain when the groups kept are those with the fewest; a group without any comes last. */
function fewestLeft(finite: readonly number[], groups: GroupLimit | undefined): number {
  const some = finite.filter((n) => n > 0).sort((a, b) => a - b);
  return sum(some.slice(0, groups?.kept ?? 1));
}
